#include "server/response.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "../engine/text_model.hpp"
#include "../llama/tiny_models.hpp"
#include "engine/log.hpp"
#include "server/reasoning.hpp"

namespace vase::server {
namespace {

class Response : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    engine::init_llama(false);
    const tests::TemporaryFolder folder;
    engine::test::write_text_model(folder / "text.gguf", "", engine::test::Bytes::of_a_smile);
    model_ = std::make_unique<engine::Model>(
        engine::ModelOptions{.path = folder / "text.gguf", .n_gpu_layers = 0});
  }
  static void TearDownTestSuite() { model_.reset(); }

  static ResponseWriter writer(std::size_t n = 1) {
    CompletionRequest request{.api = Api::chat, .include_usage = true};
    request.n = static_cast<std::int32_t>(n);
    request.policy = vase_params_default(vase_policy_find("vase"), 512);
    return {request, {"id", 1, "m"}, *model_, by_marks(ReasoningSplitter::Start::answer), n, 768};
  }
  static SplitterMaker by_marks(ReasoningSplitter::Start start) {
    return [start] { return std::make_unique<ReasoningSplitter>(start); };
  }
  static Piece piece(const std::string &text, engine::Finish finish = engine::Finish::none,
                     std::size_t answer = 0) {
    Piece piece{.answer = answer, .has_token = true, .text = text, .finish = finish};
    if (finish != engine::Finish::none) {
      piece.statistics = {.prompt_tokens = 3, .generated = 5, .evictions = 2};
    }
    return piece;
  }
  static Json event(const std::string &text) {
    EXPECT_EQ(text.rfind("data: ", 0), 0U);
    return Json::parse(text.substr(6));
  }

  inline static std::unique_ptr<engine::Model> model_;
};

TEST_F(Response, SplitsReasoningFromContent) {
  ResponseWriter response = writer();
  for (const char *text : {"<thi", "nk>so", " it is</th", "ink>\n"}) response.add(piece(text));
  response.add(piece("yes", engine::Finish::end_of_text));
  const Json body = Json::parse(response.whole());
  const Json &choice = body["choices"][0];
  EXPECT_EQ(choice["message"]["reasoning_content"], "so it is");
  EXPECT_EQ(choice["message"]["content"], "yes");
  EXPECT_EQ(choice["finish_reason"], "stop");
  EXPECT_EQ(body["usage"]["completion_tokens_details"]["reasoning_tokens"], 3);
  EXPECT_EQ(body["vase"]["evictions"], 2);
}

TEST_F(Response, SplitsReasoningInAStream) {
  ResponseWriter response = writer();
  const Json opening = event(response.chunk(piece("<think>")));
  EXPECT_EQ(opening["choices"][0]["delta"], Json::parse(R"({"role":"assistant"})"));
  const Json thought = event(response.chunk(piece("so")));
  EXPECT_EQ(thought["choices"][0]["delta"], Json::parse(R"({"reasoning_content":"so"})"));
  EXPECT_EQ(response.chunk(piece("</think>")), "");
  const Json answer = event(response.chunk(piece("yes", engine::Finish::length)));
  EXPECT_EQ(answer["choices"][0]["delta"], Json::parse(R"({"content":"yes"})"));
  EXPECT_EQ(answer["choices"][0]["finish_reason"], "length");
  EXPECT_EQ(answer["vase"]["policy"], "vase");
  const std::string end = response.last_chunks();
  EXPECT_NE(end.find("\"usage\""), end.npos);
  EXPECT_TRUE(end.ends_with("data: [DONE]\n\n"));
}

class Logprobs : public Response {
 protected:
  // The tokens of the smile's bytes are the last four.
  static llama_token byte(int i) { return llama_vocab_n_tokens(model_->vocab()) - 4 + i; }
  static llama_token token_of(const std::string &text) {
    return model_->tokenize(text, false).at(0);
  }
  static ResponseWriter writer_for(Api api) {
    CompletionRequest request{.api = api};
    request.logprobs = 4;
    request.policy = vase_params_default(vase_policy_find("vase"), 512);
    return {request, {"id", 1, "m"}, *model_, by_marks(ReasoningSplitter::Start::plain), 1, 768};
  }
  /// A token, and those that were the likeliest in its place.
  static Piece chosen(llama_token token, const std::vector<llama_token> &likeliest = {}) {
    Piece piece{.token = token, .has_token = true, .logprobs = {{token, -1.0f}}};
    for (const llama_token each : likeliest) piece.logprobs.push_back({each, -2.0f});
    return piece;
  }
};

TEST_F(Logprobs, NameEveryAlternative) {
  ResponseWriter response = writer_for(Api::completions);
  response.add(chosen(token_of("a"), {byte(0), byte(1), 0, 1}));
  const Json top = Json::parse(response.whole())["choices"][0]["logprobs"]["top_logprobs"][0];
  EXPECT_EQ(top.size(), 4U);
  for (const char *key : {"bytes:\\xf0", "bytes:\\x9f", "<s>", "</s>"}) {
    EXPECT_TRUE(top.contains(key)) << key;
  }
}

TEST_F(Logprobs, TellTwoTokensOfOneTextApart) {
  ResponseWriter response = writer_for(Api::completions);
  const llama_token a = token_of("a");
  response.add(chosen(a, {a, a, a}));
  const Json top = Json::parse(response.whole())["choices"][0]["logprobs"]["top_logprobs"][0];
  EXPECT_EQ(top.size(), 3U);
  EXPECT_TRUE(top.contains("a") && top.contains("bytes:\\x61"));
}

TEST_F(Logprobs, CountOffsetsInCharacters) {
  ResponseWriter response = writer_for(Api::completions);
  for (const llama_token token : {token_of("a"), byte(0), byte(1), byte(2), byte(3), token_of("b"),
                                  byte(0), token_of("c"), token_of("d")}) {
    response.add(chosen(token));
  }
  const Json logprobs = Json::parse(response.whole())["choices"][0]["logprobs"];
  EXPECT_EQ(logprobs["text_offset"],
            Json({0, 1, 1, 1, 1, 2, 3, 3, 5}));  // the broken one is U+FFFD
  EXPECT_EQ(logprobs["tokens"][1], "bytes:\\xf0");
}

TEST_F(Logprobs, SpellBytesInAChatToo) {
  ResponseWriter response = writer_for(Api::chat);
  response.add(chosen(byte(0), {byte(1)}));
  const Json entry = Json::parse(response.whole())["choices"][0]["logprobs"]["content"][0];
  EXPECT_EQ(entry["token"], "\\xf0");
  EXPECT_EQ(entry["bytes"], Json::array({0xF0}));
  EXPECT_EQ(entry["top_logprobs"][0]["token"], "\\x9f");
}

TEST_F(Response, CountsASharedPromptOnce) {
  ResponseWriter response = writer(2);
  response.add(piece("a", engine::Finish::length, 0));
  response.add(piece("b", engine::Finish::length, 1));
  const Json usage = Json::parse(response.whole())["usage"];
  EXPECT_EQ(usage["prompt_tokens"], 3);
  EXPECT_EQ(usage["completion_tokens"], 10);
}

TEST_F(Response, ReportsTheCacheWithTheLastAnswerAlone) {
  ResponseWriter response = writer(2);
  EXPECT_FALSE(event(response.chunk(piece("a", engine::Finish::length, 1))).contains("vase"));
  EXPECT_TRUE(event(response.chunk(piece("b", engine::Finish::length, 0))).contains("vase"));
}

}  // namespace
}  // namespace vase::server
