// The program with a model: random weights, so that only the form of its answers is looked at.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>

#include "../engine/text_model.hpp"
#include "../llama/tiny_models.hpp"
#include "cli/default_files.hpp"
#include "cli/model_catalogue.hpp"
#include "engine/machine.hpp"
#include "process.hpp"

namespace vase::cli::test {
namespace {

using ::testing::HasSubstr;
using ::testing::MatchesRegex;
using ::testing::Not;

constexpr const char *kChatTemplate = "chatml";

class SessionTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_ = std::make_unique<tests::TemporaryFolder>();
    engine::test::write_text_model(*folder_ / "text.gguf");
    engine::test::write_text_model(*folder_ / "chat.gguf", kChatTemplate);
  }
  static void TearDownTestSuite() { folder_.reset(); }

  static std::string path(const std::string &name) { return (*folder_ / name).string(); }
  // A command on the tiny model with a small cache.
  static std::vector<std::string> command(const std::string &name,
                                          const std::vector<std::string> &more,
                                          const std::string &model = "text.gguf") {
    std::vector<std::string> arguments = {name, "-m",         path(model), "-t",
                                          "1",  "--budget",   "128",       "--recency",
                                          "32", "--interval", "32"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return arguments;
  }

  static inline std::unique_ptr<tests::TemporaryFolder> folder_;
};

TEST_F(SessionTest, RunWritesTextAndNothingElse) {
  const auto arguments = command("run", {"-p", "Once", "-n", "300", "--ignore-eos", "-s", "7"});
  const Outcome outcome = run_vase(arguments);
  EXPECT_EQ(outcome.exit_code, 0);
  EXPECT_EQ(outcome.err, "");
  EXPECT_GT(outcome.out.size(), 250U);
  EXPECT_TRUE(outcome.out.ends_with('\n'));
  EXPECT_EQ(run_vase(arguments).out, outcome.out) << "one seed, one text";
}

TEST_F(SessionTest, RunTakesThePromptFromAnywhere) {
  const std::string file = write_file(path("prompt.txt"), "Once\n");
  const auto with = [](std::vector<std::string> prompt) {
    prompt.insert(prompt.end(), {"-n", "40", "--temp", "0", "--ignore-eos"});
    return command("run", prompt);
  };
  const std::string text = run_vase(with({"-p", "Once"})).out;
  EXPECT_EQ(run_vase(with({"-f", file})).out, text);
  EXPECT_EQ(run_vase(with({"-f", "-"}), {.input = "Once\n"}).out, text);
  EXPECT_EQ(run_vase(with({}), {.input = "Once"}).out, text);
}

TEST_F(SessionTest, RunEqualsTheFullCacheWhileNothingIsEvicted) {
  const std::vector<std::string> rest = {"-p", "Once", "-n", "100", "--temp", "0", "--ignore-eos"};
  std::vector<std::string> full = {"run", "-m", path("text.gguf"), "-t", "1", "--policy", "full"};
  full.insert(full.end(), rest.begin(), rest.end());
  EXPECT_EQ(run_vase(command("run", rest)).out, run_vase(full).out);
}

TEST_F(SessionTest, VerboseAddsTheSummary) {
  const Outcome outcome = run_vase(
      command("run", {"-p", "Once", "-n", "300", "--ignore-eos", "-v", "--pin-prompt", "-s", "7"}));
  EXPECT_THAT(outcome.err, HasSubstr("generated  300 tokens"));
  EXPECT_THAT(outcome.err, HasSubstr("a full cache would hold"));
  EXPECT_THAT(outcome.err, HasSubstr("seed       7"));
}

TEST_F(SessionTest, TheSummaryAloneCanBeAskedFor) {
  const std::vector<std::string> rest = {"-p", "Once", "-n", "300", "--ignore-eos", "-s", "7"};
  EXPECT_EQ(run_vase(command("run", rest)).err, "") << "nobody reads along";
  std::vector<std::string> with = rest;
  with.push_back("--summary");
  const Outcome outcome = run_vase(command("run", with));
  EXPECT_THAT(outcome.err, MatchesRegex("\nprompt (.|\n)*\nevictions (.|\n)*\nseed       7\n"))
      << "and nothing of llama.cpp's log";
}

std::vector<nlohmann::json> read_lines(const std::string &path) {
  std::ifstream file(path);
  std::vector<nlohmann::json> lines;
  for (std::string line; std::getline(file, line);) lines.push_back(nlohmann::json::parse(line));
  return lines;
}

TEST_F(SessionTest, RunWritesTheRowsThatStayed) {
  const std::string file = path("rows.jsonl");
  const Outcome outcome = run_vase(
      command("run", {"-p", "Once", "-n", "300", "--ignore-eos", "-s", "7", "--rows", file}));
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  const std::vector<nlohmann::json> lines = read_lines(file);
  ASSERT_GE(lines.size(), 2U);
  const auto n_tokens = lines[0]["tokens"].get<std::vector<int>>().size();
  EXPECT_GE(n_tokens, 300U) << "the prompt and all but the last of the 300";
  EXPECT_EQ(lines[0]["policy"], "vase-plus");
  EXPECT_EQ(lines[0]["seed"], 7);
  EXPECT_GT(lines[0]["evictions"], 0);
  for (std::size_t layer = 0; layer + 1 < lines.size(); ++layer) {
    EXPECT_EQ(lines[layer + 1]["layer"], layer);
    for (const auto &head : lines[layer + 1]["heads"]) {
      const auto positions = head.get<std::vector<std::size_t>>();
      EXPECT_GE(positions.size(), 128U);
      EXPECT_LE(positions.size(), 160U);
      EXPECT_EQ(std::ranges::adjacent_find(positions, std::greater_equal{}), positions.end());
      EXPECT_EQ(positions.front(), 0U) << "a sink";
      EXPECT_EQ(positions.back(), n_tokens - 1) << "the newest";
    }
  }
}

// A model of random weights repeats itself when it is greedy.
TEST_F(SessionTest, TheLoopGuardTakesTheLoopOutOfTheRows) {
  const std::string file = path("guarded.jsonl");
  const Outcome outcome =
      run_vase(command("run", {"-p", "Once", "-n", "1500", "--ignore-eos", "--temp", "0",
                               "--loop-guard", "--policy", "vase", "--rows", file, "-v"}));
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_GT(outcome.out.size(), 1300U) << "nothing that was said is taken back";
  EXPECT_THAT(outcome.err, HasSubstr("loop guard went back "));
  EXPECT_THAT(outcome.err, HasSubstr("1,500 tokens"));
  const std::vector<nlohmann::json> lines = read_lines(file);
  const auto n_tokens = lines.at(0)["tokens"].get<std::vector<int>>().size();
  EXPECT_LT(n_tokens, 1500U);
  EXPECT_EQ(lines[0]["policy"], "vase-plus");
  for (const auto &head : lines.at(1)["heads"]) {
    EXPECT_EQ(head.get<std::vector<std::size_t>>().back(), n_tokens - 1) << "the newest";
  }
}

TEST_F(SessionTest, InterruptedRunsWriteTheirRowsToo) {
  const std::string file = path("interrupted.jsonl");
  const Outcome outcome = run_vase(command("run", {"-p", "Once", "--ignore-eos", "--rows", file}),
                                   {.on_output = [](pid_t child) { kill(child, SIGINT); }});
  EXPECT_EQ(outcome.exit_code, 130);
  EXPECT_GE(read_lines(file).size(), 2U);
}

TEST_F(SessionTest, InterruptStopsWithItsOwnExitCode) {
  const Outcome outcome = run_vase(command("run", {"-p", "Once", "--ignore-eos", "-v"}),
                                   {.on_output = [](pid_t child) { kill(child, SIGINT); }});
  EXPECT_EQ(outcome.exit_code, 130);
  EXPECT_THAT(outcome.err, HasSubstr("(interrupted)"));
}

TEST_F(SessionTest, TerminationStopsToo) {
  const Outcome outcome = run_vase(command("run", {"-p", "Once", "--ignore-eos"}),
                                   {.on_output = [](pid_t child) { kill(child, SIGTERM); }});
  EXPECT_EQ(outcome.exit_code, 143);
  EXPECT_EQ(outcome.err, "");
}

TEST_F(SessionTest, ClosedOutputEndsQuietly) {
  const Outcome outcome =
      run_vase(command("run", {"-p", "Once", "--ignore-eos"}), {.close_output = true});
  EXPECT_EQ(outcome.exit_code, 141);
  EXPECT_EQ(outcome.err, "");
}

TEST_F(SessionTest, FullDiskIsAnError) {
  const std::string file = path("prompt.txt");
  write_file(file, "Once");
  const std::string line = std::string(VASE_PROGRAM) + " run -m " + path("text.gguf") + " -f " +
                           file + " -n 20 > /dev/full 2> " + path("err");
  EXPECT_EQ(WEXITSTATUS(std::system(line.c_str())), 1);
  std::string message;
  std::getline(std::ifstream(path("err")), message);
  EXPECT_EQ(message, "vase: cannot write to the standard output: No space left on device");
}

TEST_F(SessionTest, ChatAnswersEachLineOfAPipe) {
  const auto arguments = command("chat", {"-n", "20", "-s", "7", "-v"}, "chat.gguf");
  const Outcome outcome = run_vase(arguments, {.input = "Hello\n\n/stats\nAnd you?\n/nonsense\n"});
  EXPECT_EQ(outcome.exit_code, 0);
  EXPECT_GE(count_lines(outcome.out), 2U);
  EXPECT_THAT(outcome.err, HasSubstr("unknown command /nonsense (/exit, /clear, /stats)"));
  EXPECT_THAT(outcome.err, HasSubstr("generated  20 tokens"));
  EXPECT_THAT(outcome.err, HasSubstr("generated  40 tokens"));
}

TEST_F(SessionTest, ChatForgetsOnClear) {
  const auto arguments = command("chat", {"-n", "20", "--temp", "0"}, "chat.gguf");
  const std::string once = run_vase(arguments, {.input = "Hello\n"}).out;
  EXPECT_EQ(run_vase(arguments, {.input = "Hello\n/clear\nHello\n/exit\nHello\n"}).out,
            once + once);
}

TEST_F(SessionTest, ChatForgetsThoughts) {
  const std::filesystem::path model = models_folder() / "SmolLM2-135M-Instruct.Q4_1.gguf";
  if (!std::filesystem::exists(model)) GTEST_SKIP() << model << " is not there (make model)";
  const auto tokens_after = [&](const std::vector<std::string> &more) {
    std::vector<std::string> arguments = {"chat",
                                          "-m",
                                          model.string(),
                                          "--lora",
                                          reasoner_adapter().string(),
                                          "-t",
                                          "2",
                                          "--temp",
                                          "0",
                                          "-n",
                                          "80",
                                          "-v",
                                          "--reasoning-budget",
                                          "50",
                                          "--seed",
                                          "1"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const Outcome outcome =
        run_vase(arguments, {.input = "Add 3 to 4, then take 2 off.\nAgain.\n"});
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    EXPECT_THAT(outcome.err, HasSubstr("ended by --reasoning-budget"));
    const std::size_t at = outcome.err.rfind(" tokens in each head");
    const std::size_t of = outcome.err.rfind(" of ", at);
    return at == outcome.err.npos ? -1 : std::stoi(outcome.err.substr(of + 4, at - of - 4));
  };
  for (std::vector<std::string> cache :
       {std::vector<std::string>{"--budget", "512"}, {"--policy", "full", "-c", "1024"}}) {
    SCOPED_TRACE(cache[1]);
    const int without = tokens_after(cache);
    cache.emplace_back("--reasoning-preserve");
    EXPECT_GT(without, 60);
    EXPECT_GE(tokens_after(cache) - without, 40) << "of a thought of 50 tokens";
  }
}

TEST_F(SessionTest, ChatNeedsATemplate) {
  const Outcome outcome = run_vase(command("chat", {}), {.input = "Hello\n"});
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_THAT(outcome.err, HasSubstr("has no chat template"));
  EXPECT_EQ(count_lines(outcome.err), 1U);
  EXPECT_EQ(
      run_vase(command("chat", {"--chat-template", "chatml", "-n", "5"}), {.input = "Hello\n"})
          .exit_code,
      0);
}

TEST_F(SessionTest, RefusesAPromptBeyondTheFullCache) {
  const Outcome outcome = run_vase({"run", "-m", path("text.gguf"), "--policy", "full", "-c", "256",
                                    "-p", std::string(1000, 'a')});
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_THAT(outcome.err, HasSubstr("the full cache has room for 256"));
  EXPECT_EQ(count_lines(outcome.err), 1U);
}

TEST_F(SessionTest, TheFullCacheTakesAPromptLongerThanABatch) {
  const std::string prompt(200, 'x');
  const auto with_batch = [&](const char *tokens) {
    return run_vase({"run", "-m", path("text.gguf"), "--policy", "full", "-p", prompt, "-n", "3",
                     "--temp", "0", "--ignore-eos", "-b", tokens});
  };
  const Outcome outcome = with_batch("64");
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_EQ(outcome.out, with_batch("2048").out);
}

TEST_F(SessionTest, SaysOnceThatATextIsLongerThanTheModelWasTrainedOn) {
  const std::string text(tests::kTrainingLength + 100, 'x');
  const std::string file = write_file(path("long.txt"), text);
  const std::string said =
      "tokens, and the model was trained on texts of 2,048 tokens: what it writes beyond that may "
      "be noise\n";
  const auto expect_said = [&](const std::vector<std::string> &arguments,
                               const RunOptions &input = {}) {
    const Outcome outcome = run_vase(arguments, input);
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    EXPECT_THAT(outcome.err, HasSubstr(said)) << arguments[0];
    EXPECT_EQ(count_lines(outcome.err), 1U) << outcome.err;
  };
  expect_said(command("run", {"-f", file, "-n", "2"}));
  expect_said(command("run", {"-p", "x", "-n", "2100", "--ignore-eos"}));
  expect_said(command("chat", {"-n", "2"}, "chat.gguf"), {.input = text + "\nand\nso on\n"});
  expect_said(command("inspect", {"-f", file, "--policy", "vase"}));
  expect_said({"fidelity", "-m", path("text.gguf"), "-f", file, "-n", "2100", "--budgets", "256",
               "--policies", "streaming"});
  expect_said(command("plan", {"-c", "2100"}));
  EXPECT_EQ(run_vase(command("plan", {"-c", "2048"})).err, "");
}

TEST_F(SessionTest, RefusesWhatDoesNotFitIntoMemory) {
  constexpr std::uint64_t kNeeded = std::uint64_t{64} << 30U;  // a little less than these rows take
  if (engine::available_memory().value_or(kNeeded) >= kNeeded) GTEST_SKIP() << "it might fit";
  const std::vector<std::string> arguments = {
      "run",  "-m",  path("text.gguf"), "-p",      "x", "-ctk", "f32",
      "-ctv", "f32", "--budget",        "40000000"};
  const Outcome outcome = run_vase(arguments);
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_THAT(outcome.err, HasSubstr("is available"));
  EXPECT_EQ(count_lines(outcome.err), 1U) << outcome.err;
}

TEST_F(SessionTest, RefusesRecurrentModelsAndWrongAdapters) {
  tests::write_tiny_model("mamba", path("mamba.gguf"));
  engine::test::write_adapter(path("wrong.gguf"), {.outputs = 512});
  for (const auto &arguments :
       {std::vector<std::string>{"run", "-m", path("mamba.gguf"), "-p", "x"},
        command("run", {"-p", "x", "--lora", path("wrong.gguf")})}) {
    const Outcome outcome = run_vase(arguments);
    EXPECT_EQ(outcome.exit_code, 1);
    EXPECT_EQ(count_lines(outcome.err), 1U) << outcome.err;
  }
}

TEST_F(SessionTest, SaysWhyAModelCannotBeLoaded) {
  tests::write_tiny_model("unheard-of", path("unheard-of.gguf"));
  engine::test::write_adapter(path("adapter.gguf"), {});
  for (const char *command : {"run", "plan", "bench", "inspect", "serve"}) {
    std::vector<std::string> arguments = {command, "-m", path("unheard-of.gguf")};
    if (arguments[0] == "run") arguments.insert(arguments.end(), {"-p", "x"});
    const Outcome outcome = run_vase(arguments);
    EXPECT_EQ(outcome.exit_code, 1);
    EXPECT_THAT(outcome.err, HasSubstr("unknown model architecture: 'unheard-of'"));
    EXPECT_EQ(count_lines(outcome.err), 1U) << outcome.err;
    arguments[2] = path("adapter.gguf");
    EXPECT_THAT(run_vase(arguments).err, HasSubstr("give it with --lora"));
  }
}

TEST_F(SessionTest, RefusesATruncatedModel) {
  const std::string cut = path("cut.gguf");
  std::filesystem::copy_file(path("text.gguf"), cut);
  std::filesystem::resize_file(cut, std::filesystem::file_size(cut) / 2);
  const Outcome outcome = run_vase({"run", "-m", cut, "-p", "x"});
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_THAT(outcome.err, HasSubstr("truncated"));
  EXPECT_EQ(count_lines(outcome.err), 1U) << outcome.err;
}

TEST_F(SessionTest, PlanPrintsATableOrJson) {
  const Outcome table = run_vase(command("plan", {"-np", "4"}));
  EXPECT_THAT(table.out, HasSubstr("4 sequences x 128"));
  EXPECT_THAT(table.out, HasSubstr("evictions"));
  const auto json = nlohmann::json::parse(run_vase(command("plan", {"--json"})).out);
  EXPECT_EQ(json["bounded"]["budget"], 128);
  EXPECT_GT(json["full"]["kv_bytes"], json["bounded"]["kv_bytes"]);
  EXPECT_EQ(run_vase(command("plan", {"--fit", "1KiB"})).exit_code, 1);
  const Outcome fit = run_vase({"plan", "-m", path("text.gguf"), "--fit", "1GiB", "--json"});
  EXPECT_LE(nlohmann::json::parse(fit.out)["bounded"]["total_bytes"], 1 << 30);
}

TEST_F(SessionTest, PlanSaysHowManyReplicas) {
  const std::vector<std::string> asked = {
      "-np",     "2",   "--fleet",        "9",   "--prompt-tokens", "100", "--answer-tokens", "50",
      "--speed", "100", "--prompt-speed", "1000"};
  const auto with = [&](std::vector<std::string> more) {
    more.insert(more.begin(), asked.begin(), asked.end());
    return command("plan", more);
  };
  // Half a second of writing and a tenth of reading.
  const auto json = nlohmann::json::parse(run_vase(with({"--json"})).out);
  EXPECT_DOUBLE_EQ(json["fleet"]["requests_per_second_of_a_replica"], 1 / 0.6);
  const auto n = json["fleet"]["needed"]["replicas"].get<std::int64_t>();
  EXPECT_GT(n, 6);
  EXPECT_EQ(json["fleet"]["needed"]["bytes"],
            n * json["bounded"]["total_bytes"].get<std::int64_t>());
  const std::string words = run_vase(with({"--gpus", "3"})).out;
  EXPECT_THAT(words, HasSubstr(std::to_string(n) + " replicas of 2 slots for 9 requests a second"));
  EXPECT_THAT(words, HasSubstr("3 are fewer: they answer "));

  std::ofstream(path("bench.json"))
      << R"({"sequences": 2, "depths": [{"depth": 100, )"
         R"("bounded": {"tokens_per_second": 100, "prompt": {"tokens_per_second": 1000}}}]})";
  const std::vector<std::string> measured = {
      "-np", "2",      "--fleet", "9", "--prompt-tokens", "100", "--answer-tokens",
      "50",  "--json", "--bench"};
  const auto by_bench = [&](const std::string &file) {
    std::vector<std::string> arguments = measured;
    arguments.push_back(path(file));
    return run_vase(command("plan", arguments));
  };
  const auto fleet = nlohmann::json::parse(by_bench("bench.json").out)["fleet"]["needed"];
  EXPECT_EQ(fleet["replicas"], n);
  EXPECT_EQ(fleet["wait_seconds"], json["fleet"]["needed"]["wait_seconds"]);
  EXPECT_THAT(by_bench("text.gguf").err, HasSubstr("is not what `vase bench --json` writes"));
  EXPECT_THAT(run_vase(command("plan", {"--fleet", "9"})).err, HasSubstr("needs --answer-tokens"));
  EXPECT_THAT(run_vase(command("plan", {"--gpus", "2"})).err, HasSubstr("are for --fleet"));
  EXPECT_THAT(run_vase(command("plan", {"--fleet", "9", "--answer-tokens", "5"})).err,
              HasSubstr("--bench FILE, or both --speed and --prompt-speed"));
}

// In pieces that fill the cells, 256 here, and not with an eviction at every interval.
TEST_F(SessionTest, BenchReadsPromptsAsRunReadsThem) {
  const Outcome outcome = run_vase(
      command("bench", {"--depths", "100,600", "-n", "4", "--json", path("reading.json")}));
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("prompt up to"));
  std::ifstream file(path("reading.json"));
  const auto json = nlohmann::json::parse(file);
  const auto prompt = [&](std::size_t depth, const char *cache) {
    return json["depths"][depth][cache]["prompt"];
  };
  EXPECT_EQ(prompt(0, "bounded")["tokens"], 96);  // the last four are read one by one
  EXPECT_EQ(prompt(0, "bounded")["evictions"], 0);
  EXPECT_EQ(prompt(1, "bounded")["tokens"], 600 - 4 - 8);  // nor are those that were decoded
  EXPECT_EQ(prompt(1, "bounded")["tokens"], prompt(1, "plain")["tokens"]);
  EXPECT_EQ(prompt(1, "bounded")["evictions"], (600 - 4 - 256 + 127) / 128);
  EXPECT_EQ(prompt(1, "plain")["evictions"], 0);
  EXPECT_EQ(json["plain"]["prompt_seconds"], prompt(1, "plain")["seconds"]);
}

TEST_F(SessionTest, PlanSaysWhatAThoughtTakes) {
  const auto planned = [](const char *budget) {
    const Outcome outcome =
        run_vase(command("plan", {"--reasoning-budget", budget, "-n", "5000", "--json"}));
    return nlohmann::json::parse(outcome.out);
  };
  const auto small = planned("1000"), large = planned("2000");
  EXPECT_EQ(large["answer"]["thought_tokens"], 2000);
  EXPECT_EQ(large["answer"]["tokens"], 5000);
  EXPECT_GT(large["answer"]["ending_tokens"], 8);
  EXPECT_EQ(large["answer"]["ending_tokens"], small["answer"]["ending_tokens"]);
  const auto bytes = [](const nlohmann::json &plan) {
    return plan["answer"]["full_cache_bytes"].get<std::int64_t>();
  };
  // A full cache of the same model, as the other column has it.
  const double per_token = large["full"]["kv_bytes"].get<double>() / 32768;
  EXPECT_NEAR(static_cast<double>(bytes(large) - bytes(small)), 1000 * per_token, per_token);
  EXPECT_EQ(large["bounded"]["kv_bytes"], small["bounded"]["kv_bytes"]);
  EXPECT_THAT(run_vase(command("plan", {"--reasoning-budget", "1000"})).out,
              HasSubstr("a thought has at most 1,000 tokens and "));
}

TEST_F(SessionTest, RunEndsAThought) {
  const Outcome outcome = run_vase(command(
      "run", {"-p", "Once <think>", "-n", "60", "--ignore-eos", "-s", "7", "--temp", "1.5",
              "--reasoning-budget", "20", "--reasoning-budget-message", "So:", "--summary"}));
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("So:</think>"));
  EXPECT_THAT(outcome.err, HasSubstr("1 ended by --reasoning-budget"));
}

TEST_F(SessionTest, BenchMeasuresBoth) {
  const std::string file = path("bench.json");
  const Outcome outcome =
      run_vase(command("bench", {"--depths", "64,256", "-n", "64", "--json", file}));
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("plain tok/s"));
  const auto json = nlohmann::json::parse(std::ifstream(file));
  ASSERT_EQ(json["depths"].size(), 2U);
  EXPECT_EQ(json["depths"][1]["bounded"]["evictions"], 2);
  EXPECT_EQ(json["depths"][1]["plain"]["evictions"], 0);
  EXPECT_GT(json["depths"][1]["plain"]["tokens_per_second"], 0);
}

TEST_F(SessionTest, InspectShowsWhatEachLayerProtects) {
  const std::string text = write_file(path("inspected.txt"), std::string(400, 'a'));
  const auto report = [&](const std::string &protect) {
    const Outcome outcome =
        run_vase(command("inspect", {"-f", text, "--protect", protect, "--json"}));
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    return nlohmann::json::parse(outcome.out);
  };
  const auto given = report("40");
  EXPECT_EQ(given["budget"], 128);
  EXPECT_GT(given["evictions"], 3);
  for (const auto &layer : given["layers"]) {
    EXPECT_GE(layer["widest_range"], layer["median_range"]);
    for (const int rows : layer["protected"]) EXPECT_EQ(rows, 40 - 4);
  }
  const auto found = report("auto");
  ASSERT_EQ(found["layers"].size(), given["layers"].size());
  for (const auto &layer : found["layers"]) {
    for (const int rows : layer["protected"]) {
      EXPECT_GE(rows, 128 / 32 - 4);
      EXPECT_LE(rows, 128 - 128 / 8 - 4);
    }
  }
  EXPECT_THAT(run_vase(command("inspect", {"-f", text})).out, HasSubstr("of budget"));
  EXPECT_THAT(run_vase(command("inspect", {"-f", text, "--policy", "full"})).err,
              HasSubstr("nothing to look at"));
}

TEST_F(SessionTest, BenchMeasuresEachCombinationOnALine) {
  const std::string file = path("runs.json");
  const Outcome outcome =
      run_vase(command("bench", {"--policy", "vase", "--depths", "200", "-n", "32", "--parallel",
                                 "1,2", "--no-plain", "--stagger", "--json", file}));
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  std::ifstream lines(file);
  std::vector<int> seen;
  for (std::string line; std::getline(lines, line);) {
    const auto run = nlohmann::json::parse(line);
    seen.push_back(run["sequences"].get<int>());
    // One eviction of each sequence in a window of one interval.
    EXPECT_EQ(run["depths"][0]["bounded"]["evictions"], run["sequences"]);
    EXPECT_GT(run["depths"][0]["bounded"]["median_step_seconds"], 0);
    EXPECT_FALSE(run.contains("plain"));
  }
  EXPECT_THAT(seen, testing::ElementsAre(1, 2));
}

TEST_F(SessionTest, PoliciesPrintsATableOrJson) {
  EXPECT_THAT(run_vase({"policies"}).out, HasSubstr("snapkv"));
  EXPECT_THAT(run_vase({"policies"}).out, HasSubstr("resembles; the default\n"));
  const auto json = nlohmann::json::parse(run_vase({"policies", "--budget", "1024", "--json"}).out);
  EXPECT_EQ(json["defaults"]["protect"], 256);
  EXPECT_EQ(json["defaults"]["recency"], 64);
  EXPECT_EQ(json["defaults"]["pin_prompt"], 0.5);
  const auto small = nlohmann::json::parse(run_vase({"policies", "--budget", "128", "--json"}).out);
  EXPECT_EQ(small["defaults"]["recency"], 24);
  EXPECT_EQ(small["defaults"]["interval"], 64);
  const auto large = nlohmann::json::parse(run_vase({"policies", "--json"}).out);
  EXPECT_EQ(large["defaults"]["budget"], 4096);
  EXPECT_EQ(large["defaults"]["interval"], 128);
  for (const auto &policy : json["policies"]) {
    EXPECT_EQ(policy["default"], policy["name"] == "vase-plus");
  }
}

TEST_F(SessionTest, HelpNamesTheOptionsAsUsersKnowThem) {
  const Outcome help = run_vase({"run", "--help"});
  EXPECT_EQ(help.exit_code, 0);
  EXPECT_THAT(help.out, HasSubstr("-ngl"));
  EXPECT_THAT(help.out, Not(HasSubstr("--ngl")));
}

#ifdef VASE_NOTE_CALLS
// A library in the program's way notes what it asks of llama.cpp.
TEST_F(SessionTest, RunReadsAHeaderOnceForEachUseAndPlansWithOneContext) {
  const std::string calls = path("calls.txt");
  ::setenv("LD_PRELOAD", VASE_NOTE_CALLS, 1);
  ::setenv("VASE_CALLS", calls.c_str(), 1);
  const Outcome outcome = run_vase(command("run", {"-p", "Once", "-n", "1"}));
  ::unsetenv("LD_PRELOAD");
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  std::ifstream file(calls);
  if (!file) GTEST_SKIP() << "llama.cpp is not a library of its own here";
  const std::string noted{std::istreambuf_iterator<char>(file), {}};
  // Ours, llama.cpp's for the plan, and llama.cpp's to load it.
  const std::string header = "header " + path("text.gguf") + "\n";
  EXPECT_EQ(noted, header + header + "context\n" + header + "context\n");
}
#endif

// The model that `make model` fetches, if it was.
TEST(DefaultModel, KnowsTheCapitalOfFrance) {
  if (!std::filesystem::exists(default_model())) GTEST_SKIP() << "not fetched";
  const Outcome outcome = run_vase({"run", "--no-reasoner", "--chat", "--chat-template", "chatml",
                                    "-p", "What is the capital of France?", "-n", "10", "--temp",
                                    "0", "--budget", "128", "-t", "1"});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_EQ(outcome.err, "");
  EXPECT_THAT(outcome.out, HasSubstr("Paris"));
}

// Without -m the reasoner's adapter is on: the model thinks before it answers.
TEST(DefaultModel, IsTheReasoner) {
  if (!std::filesystem::exists(default_model())) GTEST_SKIP() << "not fetched";
  const Outcome outcome = run_vase({"run", "--chat", "-p", "What is 3 plus 4?", "-n", "4", "--temp",
                                    "0", "--budget", "128", "-t", "1"});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("<think>"));
}

}  // namespace
}  // namespace vase::cli::test
