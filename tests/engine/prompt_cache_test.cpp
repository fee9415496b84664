#include "engine/prompt_cache.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <thread>

#include "../llama/tiny_models.hpp"
#include "engine/generator.hpp"
#include "engine/log.hpp"
#include "engine/prompt_cache_files.hpp"
#include "engine/unfinished_file.hpp"
#include "text_model.hpp"

namespace vase::engine::test {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::UnorderedElementsAre;

std::vector<llama_token> counted(llama_token n, llama_token from = 0) {
  std::vector<llama_token> tokens;
  for (llama_token i = 0; i < n; ++i) tokens.push_back(from + i);
  return tokens;
}

PutAside of(std::vector<llama_token> tokens, std::int64_t evictions = 0,
            const ReadingRule &rule = {"p"}, std::size_t bytes = 1000) {
  return {.tokens = std::move(tokens),
          .rule = rule,
          .evictions = evictions,
          .bytes = std::vector<std::byte>(bytes, std::byte{7})};
}

std::size_t found(PromptCache &cache, std::span<const llama_token> prompt,
                  const ReadingRule &rule = {"p"}, bool any_draws = false) {
  const PutAside *one = cache.find({.tokens = prompt, .rule = rule, .any_draws = any_draws});
  return one == nullptr ? 0 : one->tokens.size();
}

TEST(PromptCache, FindsTheLongestBeginning) {
  PromptCache cache(1 << 20);
  for (const llama_token n : {40, 80, 120}) ASSERT_TRUE(cache.put(of(counted(n))));
  EXPECT_EQ(found(cache, counted(200)), 120U);
  EXPECT_EQ(found(cache, counted(120)), 80U) << "the last token is always read";
  EXPECT_EQ(found(cache, counted(100)), 80U);
  EXPECT_EQ(found(cache, counted(200, 1)), 0U);
  EXPECT_EQ(found(cache, {}), 0U);
}

TEST(PromptCache, LooksAtPolicyAndDraws) {
  PromptCache cache(1 << 20);
  const ReadingRule seeded{.policy = "p", .seed = 1};
  ReadingRule generated = seeded;
  generated.as_read = false;
  cache.put(of(counted(40), 0, generated));
  cache.put(of(counted(80), 2, seeded));
  cache.put(of(counted(120), 2, generated));
  EXPECT_EQ(found(cache, counted(200), {.policy = "q", .seed = 1}, true), 0U);
  EXPECT_EQ(found(cache, counted(200), seeded), 80U);
  EXPECT_EQ(found(cache, counted(200), {.policy = "p", .seed = 2}), 40U) << "nothing was drawn";
  EXPECT_EQ(found(cache, counted(200), {.policy = "p", .seed = 2}, true), 120U);
}

TEST(PromptCache, PolicyTextTellsAllButTheSeed) {
  vase_params params = vase_params_default(vase_policy_default(), 256);
  const std::string text = policy_text(params, 0.5f);
  ++params.seed;
  EXPECT_EQ(policy_text(params, 0.5f), text);
  EXPECT_NE(policy_text(params, 0.4f), text);
  ++params.interval;
  EXPECT_NE(policy_text(params, 0.5f), text);
  EXPECT_NE(policy_text(vase_params_default(vase_policy_find("random"), 256), 0.5f), text);
}

TEST(PromptCache, LetsGoOfWhatWasNotAskedForLongest) {
  PromptCache cache(3 * of(counted(40)).size());
  for (const llama_token first : {0, 1000, 2000}) cache.put(of(counted(40, first)));
  ASSERT_EQ(found(cache, counted(50, 0)), 40U);
  cache.put(of(counted(40, 3000)));
  EXPECT_EQ(found(cache, counted(50, 1000)), 0U);
  EXPECT_EQ(found(cache, counted(50, 0)), 40U);
  EXPECT_EQ(cache.size(), 3U);
  EXPECT_EQ(cache.bytes(), cache.limit());
  EXPECT_FALSE(cache.put(of(counted(40, 5000), 0, {"p"}, 10000)));
  EXPECT_EQ(cache.size(), 3U);
}

// ---- files --------------------------------------------------------------------------------------

class PromptFiles : public ::testing::Test {
 protected:
  static constexpr std::uint64_t kRoom = 1 << 20;
  std::vector<std::string> said_;
  SayOfFile say_ = [this](const std::string &line) { said_.push_back(line); };
  tests::TemporaryFolder temporary_;
  fs::path folder_ = temporary_ / "prompts";

  PromptCache read(const std::string &identity = "model", std::uint64_t limit = 1 << 20) {
    PromptCache cache(limit);
    PromptCacheFiles(folder_, identity, kRoom, say_).read_into(cache);
    return cache;
  }
  void write(const PromptCache &cache, const std::string &identity = "model",
             std::uint64_t room = kRoom) {
    PromptCacheFiles(folder_, identity, room, say_).keep(cache);
  }
  std::vector<fs::path> files() const {
    std::vector<fs::path> files;
    for (const auto &entry : fs::directory_iterator(folder_)) files.push_back(entry.path());
    return files;
  }
};

TEST_F(PromptFiles, OutliveTheirProcess) {
  PromptCache cache = read();
  const ReadingRule rule{.policy = "p", .seed = 5, .draw_stream = 3, .as_read = false};
  cache.put(of(counted(40), 7, rule));
  cache.put(of(counted(80)));
  write(cache);
  PromptCache again = read();
  ASSERT_EQ(again.size(), 2U);
  EXPECT_EQ(again.bytes(), cache.bytes());
  EXPECT_EQ(again.all().front()->tokens, counted(80));
  EXPECT_EQ(again.all().back()->tokens, counted(40));
  EXPECT_EQ(again.all().back()->rule, rule);
  EXPECT_EQ(again.all().back()->evictions, 7);
  EXPECT_EQ(again.all().back()->bytes, cache.all().back()->bytes);
  EXPECT_EQ(read("model", cache.all().front()->size()).size(), 1U) << "the newest that fits";
  EXPECT_THAT(said_, ElementsAre());
}

TEST_F(PromptFiles, AreWrittenWhileTheProcessRuns) {
  PromptCache cache = read();
  PromptCacheFiles kept(folder_, "model", kRoom, say_);
  const auto become = [&](std::size_t n) {
    kept.keep(cache);
    const auto end = std::chrono::steady_clock::now() + std::chrono::minutes(1);
    while (files().size() != n && std::chrono::steady_clock::now() < end)
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    return files().size() == n;
  };
  for (const llama_token first : {0, 1000}) cache.put(of(counted(40, first)));
  EXPECT_TRUE(become(2));
  ASSERT_NE(cache.find({.tokens = counted(50, 0), .rule = {"p"}}), nullptr);
  cache.put(of(counted(40, 2000)));
  EXPECT_TRUE(become(3));
  const PromptCache again = read();
  EXPECT_EQ(again.all().front()->tokens, counted(40, 2000));
  EXPECT_EQ(std::next(again.all().begin())->get()->tokens, counted(40, 0)) << "asked for since";
  EXPECT_THAT(said_, ElementsAre());
}

TEST_F(PromptFiles, StayWhenTheirPromptsAreLetGo) {
  PromptCache large = read();
  for (const llama_token first : {0, 1000, 2000}) large.put(of(counted(40, first)));
  write(large);
  PromptCache small = read("model", of(counted(40)).size());  // started with less memory
  ASSERT_EQ(small.size(), 1U);
  small.put(of(counted(40, 3000)));
  ASSERT_EQ(small.size(), 1U);
  write(small);
  EXPECT_EQ(files().size(), 4U);
  EXPECT_EQ(read().size(), 4U);
  EXPECT_THAT(said_, ElementsAre());
}

TEST_F(PromptFiles, OfProcessesThatShareTheFolderDoNotHarmEachOther) {
  PromptCache one = read(), other = read();
  one.put(of(counted(40)));
  write(one);
  other.put(of(counted(40)));  // the same prompt
  other.put(of(counted(40, 1000)));
  write(other);
  other.drop(other.all().back().get());  // the one that both have
  write(other);
  EXPECT_EQ(read().size(), 2U);
  // Where the folder is full, what nobody has used longest goes, whose ever it is.
  PromptCache third(1 << 20);
  third.put(of(counted(40, 2000)));
  write(third, "another", 2 * fs::file_size(files().front()) + 100);
  EXPECT_EQ(files().size(), 2U);
  EXPECT_EQ(read("another").size(), 1U);
  EXPECT_THAT(said_, ElementsAre(HasSubstr("is of another model")));
}

TEST_F(PromptFiles, TheLongestUnusedMakeRoom) {
  PromptCache cache = read();
  for (const llama_token first : {0, 1000, 2000}) cache.put(of(counted(40, first)));
  write(cache);
  ASSERT_EQ(files().size(), 3U);
  const std::uint64_t of_two = 2 * fs::file_size(files().front()) + 100;
  ASSERT_NE(cache.find({.tokens = counted(50, 0), .rule = {"p"}}), nullptr);
  write(cache, "model", of_two);
  const PromptCache again = read();
  ASSERT_EQ(again.size(), 2U);
  EXPECT_EQ(again.all().front()->tokens, counted(40, 0)) << "asked for since";
  EXPECT_EQ(again.all().back()->tokens, counted(40, 2000));
  EXPECT_EQ(files().size(), 2U);
  EXPECT_THAT(said_, ElementsAre());
}

TEST_F(PromptFiles, HalfWrittenOnesGoUnlessSomebodyWritesThem) {
  PromptCache cache = read();
  cache.put(of(counted(40)));
  write(cache);
  const fs::path whole = files().front();
  const fs::path left = folder_ / "0.vase-prompt.1.vase-part";  // by a process that was killed
  std::ofstream(left) << "vase p";
  std::optional<UnfinishedFile> unfinished(std::in_place, folder_ / "0.vase-prompt");
  unfinished->append(std::vector<std::byte>(100));
  ASSERT_EQ(files().size(), 3U);
  EXPECT_EQ(read().size(), 1U);  // as a server that starts beside it
  EXPECT_EQ(files().size(), 2U);
  EXPECT_FALSE(fs::exists(left));
  unfinished->finish();
  unfinished.reset();
  EXPECT_EQ(fs::file_size(folder_ / "0.vase-prompt"), 100U);
  {
    UnfinishedFile given_up(folder_ / "1.vase-prompt");
    given_up.append(std::vector<std::byte>(100));
  }
  EXPECT_THAT(files(), UnorderedElementsAre(whole, folder_ / "0.vase-prompt"));
  EXPECT_THAT(said_, ElementsAre());
}

// Two who write and one who starts again and again.
TEST_F(PromptFiles, NobodyTakesWhatIsJustBegunForLeft) {
  fs::create_directories(folder_);
  std::atomic<int> writing = 2;
  const auto write_many = [&] {
    for (int i = 0; i < 300; ++i) {
      UnfinishedFile file(folder_ / "same");
      file.append(std::vector<std::byte>(10));
      EXPECT_NO_THROW(file.finish());
    }
    --writing;
  };
  std::thread one(write_many), another(write_many);
  while (writing > 0) remove_abandoned(folder_);
  one.join();
  another.join();
  EXPECT_EQ(fs::file_size(folder_ / "same"), 10U);
  EXPECT_EQ(files().size(), 1U);
}

TEST_F(PromptFiles, AreWrittenAnewWithTheirPrompt) {
  PromptCache cache = read();
  cache.put(of(counted(40)));
  write(cache);
  PromptCache again(1 << 20);
  {
    PromptCacheFiles kept(folder_, "model", kRoom, say_);
    kept.read_into(again);
    again.drop(again.all().front().get());  // it was of no use
    again.put(of(counted(40), 0, {"p"}, 900));
    kept.keep(again);
  }
  ASSERT_EQ(files().size(), 1U);
  EXPECT_EQ(read().all().front()->bytes.size(), 900U);
  EXPECT_THAT(said_, ElementsAre());
}

TEST_F(PromptFiles, OnlyThoseThatFitAreReadWhole) {
  PromptCache cache = read();
  cache.put(of(counted(40)));
  write(cache);
  const fs::path old = files().front();
  cache.put(of(counted(40, 1000)));
  write(cache);
  std::fstream(old, std::ios::binary | std::ios::in | std::ios::out)
      .seekp(-1, std::ios::end)
      .put('x');
  fs::last_write_time(old, fs::file_time_type::clock::now() - std::chrono::hours(1));
  EXPECT_EQ(read("model", of(counted(40)).size()).size(), 1U);
  EXPECT_THAT(said_, ElementsAre()) << "its damage is not seen";
  EXPECT_EQ(read().size(), 1U);
  EXPECT_THAT(said_, ElementsAre(HasSubstr("is damaged or cut off: skipped")));
}

TEST_F(PromptFiles, AreSkippedInWords) {
  PromptCache cache = read();
  cache.put(of(counted(40)));
  write(cache);
  EXPECT_EQ(read("another").size(), 0U);
  EXPECT_THAT(said_, ElementsAre(HasSubstr("is of another model, or of other adapters")));
  PromptCache others(1 << 20);
  others.put(of(counted(50)));
  write(others, "another");
  EXPECT_EQ(files().size(), 2U) << "each model keeps its own";

  const fs::path file = files().front();
  const auto size = fs::file_size(file);
  for (const std::size_t at :
       {std::size_t{0}, std::size_t{9}, std::size_t{40}, size / 2, size - 1}) {
    std::fstream stream(file, std::ios::binary | std::ios::in | std::ios::out);
    stream.seekg(static_cast<std::streamoff>(at));
    const auto byte = static_cast<char>(stream.get() ^ 1);
    const auto put = [&](char value) {
      stream.seekp(static_cast<std::streamoff>(at));
      stream.put(value).flush();
    };
    put(byte);
    said_.clear();
    read(files().front() == file ? "model" : "another");
    EXPECT_EQ(said_.empty(), false) << at;
    for (const std::string &line : said_) EXPECT_EQ(line.find('\n'), line.npos);
    put(static_cast<char>(byte ^ 1));
  }
  for (const fs::path &each : files()) fs::resize_file(each, fs::file_size(each) - 8);
  std::ofstream(folder_ / "empty.vase-prompt").flush();
  fs::create_directory(folder_ / "folder.vase-prompt");
  said_.clear();
  read();
  EXPECT_EQ(said_.size(), 4U);
}

TEST_F(PromptFiles, AFolderThatCannotBeIsRefused) {
  std::ofstream(temporary_ / "file").flush();
  folder_ = temporary_ / "file";
  EXPECT_THROW(read(), Error);
}

// ---- going on from a boundary is reading at once ------------------------------------------------

TEST(GoingOn, KeepsTheRowsThatReadingAtOnceKeeps) {
  init_llama(false);
  const tests::TemporaryFolder folder;
  write_text_model(folder / "text.gguf");
  const Model model(ModelOptions{.path = folder / "text.gguf", .n_gpu_layers = 0});
  std::vector<llama_token> prompt;
  for (int i = 0; i < 700; ++i) prompt.push_back(5 + (i * i * 7 + i * 13) % 80);
  for (const char *policy : {"vase-plus", "vase", "h2o", "random"}) {
    for (const float pinned : {0.0f, 0.5f}) {
      for (const std::size_t boundary : {std::size_t{90}, std::size_t{333}, std::size_t{699}}) {
        SCOPED_TRACE(std::string(policy) + " pinned " + std::to_string(pinned) + " at " +
                     std::to_string(boundary));
        BoundedOptions options;
        options.policy = vase_params_default(vase_policy_find(policy), 128);
        options.policy.recency = options.policy.interval = 32;
        options.n_sequences = 2;
        options.pin_prompt = pinned;
        options.context.n_threads = options.context.n_threads_batch = 1;
        BoundedContext context = model.make_context(options);
        context.set_draw_stream(1, 0);
        Generator generator(model, context, 100);
        const auto read_rest = [&](std::int32_t sequence, std::vector<std::size_t> boundaries) {
          const std::size_t held = generator.tokens(sequence).size();
          generator.start(sequence, {.prompt = {prompt.begin() + static_cast<std::ptrdiff_t>(held),
                                                prompt.end()},
                                     .n_predict = 0,
                                     .prompts = Prompts{},
                                     .boundaries = std::move(boundaries)});
          std::vector<std::byte> saved;
          while (generator.busy(sequence)) {
            generator.step();
            if (!generator.at_boundary().empty()) {
              EXPECT_EQ(generator.read_tokens(sequence).size(), boundary);
              saved = context.save(sequence);
            }
          }
          return saved;
        };
        const std::vector<std::byte> saved = read_rest(0, {boundary});
        ASSERT_FALSE(saved.empty());
        context.restore(1, saved);
        generator.take_over(
            1, {prompt.begin(), prompt.begin() + static_cast<std::ptrdiff_t>(boundary)});
        read_rest(1, {});
        EXPECT_EQ(context.statistics(1).evictions, context.statistics(0).evictions);
        for (std::int32_t layer = 0; layer < context.bounded_layers(); ++layer) {
          for (std::int32_t head = 0; head < context.heads(layer); ++head) {
            std::vector<std::int32_t> once = context.positions(0, layer, head);
            std::vector<std::int32_t> twice = context.positions(1, layer, head);
            std::ranges::sort(once);
            std::ranges::sort(twice);
            EXPECT_EQ(twice, once) << "layer " << layer << " head " << head;
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace vase::engine::test
