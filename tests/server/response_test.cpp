#include "server/response.hpp"

#include <gtest/gtest.h>

#include "../engine/text_model.hpp"
#include "../llama/tiny_models.hpp"
#include "engine/log.hpp"

namespace vase::server {
namespace {

class Response : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    engine::init_llama(false);
    const tests::TemporaryFolder folder;
    engine::test::write_text_model(folder / "text.gguf");
    model_ = std::make_unique<engine::Model>(
        engine::ModelOptions{.path = folder / "text.gguf", .n_gpu_layers = 0});
  }
  static void TearDownTestSuite() { model_.reset(); }

  static ResponseWriter writer(std::size_t n = 1) {
    CompletionRequest request{.api = Api::chat, .include_usage = true};
    request.n = static_cast<std::int32_t>(n);
    request.policy = vase_params_default(vase_policy_find("vase"), 512);
    return {request, {"id", 1, "m"}, *model_, ReasoningSplitter::Start::answer, n, 768};
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
