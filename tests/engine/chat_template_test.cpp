#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <functional>
#include <memory>
#include <string>

#include "../llama/tiny_models.hpp"
#include "engine/chat.hpp"
#include "engine/jinja_library.hpp"
#include "engine/log.hpp"
#include "engine/own_library.hpp"
#include "llama.h"
#include "text_model.hpp"

namespace vase::engine::test {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::StartsWith;

// As reasoning models have it: a thought is opened unless it is not wanted, earlier ones are left
// out, and the last answer is written otherwise than earlier ones.
constexpr const char *kThinking =
    "{%- for m in messages -%}<|im_start|>{{ m.role }}\n"
    "{%- if m.role == 'assistant' and loop.last and m.reasoning_content -%}"
    "<think>\n{{ m.reasoning_content }}\n</think>\n\n{%- endif -%}"
    "{{ m.content | trim }}<|im_end|>\n{% endfor -%}"
    "{%- if add_generation_prompt -%}<|im_start|>assistant\n"
    "{%- if enable_thinking is defined and not enable_thinking -%}<think>\n\n</think>\n\n{%- endif "
    "-%}"
    "{%- endif -%}";

std::string error_of(const std::function<void()> &work) {
  try {
    work();
  } catch (const Error &error) {
    return error.what();
  }
  return {};
}

class Jinja : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    init_llama(false);
    folder_ = std::make_unique<tests::TemporaryFolder>();
    write_text_model(*folder_ / "own.gguf", kThinking);
    write_text_model(*folder_ / "named.gguf", "zephyr");
    model_ = std::make_unique<Model>(ModelOptions{.path = *folder_ / "own.gguf"});
  }
  static void TearDownTestSuite() {
    model_.reset();
    folder_.reset();
  }
  void SetUp() override {
    if (jinja_library().library == nullptr) GTEST_SKIP() << jinja_library().why;
  }

  inline static std::unique_ptr<tests::TemporaryFolder> folder_;
  inline static std::unique_ptr<Model> model_;
};

TEST_F(Jinja, WritesTheModelsOwnTemplate) {
  const ChatTemplate chat_template = ChatTemplate::of(*model_);
  EXPECT_TRUE(chat_template.is_jinja());
  EXPECT_EQ(chat_template.note(), "");
  EXPECT_EQ(chat_template.format({{"user", " Hi "}}, true),
            "<|im_start|>userHi<|im_end|>\n<|im_start|>assistant");
}

TEST_F(Jinja, SetsVariables) {
  constexpr const char *kVariable =
      "{% for m in messages %}{{ m.content }}{% endfor %} {{ mood }} {{ list | length }}";
  const ChatTemplate chat_template = ChatTemplate::of(
      *model_, {.name_or_text = kVariable, .variables = {{"mood", "\"glad\""}, {"list", "[1,2]"}}});
  EXPECT_EQ(chat_template.format({{"user", "x"}}, true), "x glad 2");
  EXPECT_EQ(chat_template.write({{"user", "x"}}, true, {{"mood", "\"sad\""}}).text, "x sad 2");
  EXPECT_THAT(
      ChatTemplate::of(*model_).write({{"user", "x"}}, true, {{"enable_thinking", "false"}}).text,
      EndsWith("</think>"));
}

TEST_F(Jinja, ReadsThoughtsByTheTemplatesParser) {
  const ChatPrompt prompt = ChatTemplate::of(*model_).write({{"user", "x"}}, true);
  ASSERT_NE(prompt.parser, nullptr);
  const SplitText whole = prompt.parser->parse("<think>\nwhy\n</think>\n\nbecause", true);
  EXPECT_THAT(whole.reasoning, StartsWith("why"));
  EXPECT_EQ(whole.content, "because");
  EXPECT_THAT(prompt.parser->parse("<think>\nwhy", false).reasoning, HasSubstr("why"));
  EXPECT_EQ(prompt.parser->parse("because", true).content, "because");
}

TEST_F(Jinja, WritesEarlierThoughtsWhereTheTemplateDoes) {
  const std::vector<ChatMessage> said = {
      {"user", "2 + 2?"},
      {.role = "assistant", .content = "4", .reasoning = "two and two"},
      {"user", "x"}};
  constexpr const char *kKeeps =
      "{% for m in messages %}{% if m.reasoning_content %}<think>{{ m.reasoning_content }}</think>"
      "{% endif %}{{ m.content }};{% endfor %}";
  EXPECT_EQ(ChatTemplate::of(*model_, {.name_or_text = kKeeps}).format(said, true),
            "2 + 2?;<think>two and two</think>4;x;");
  const ChatTemplate own = ChatTemplate::of(*model_);
  EXPECT_THAT(own.format(said, true), ::testing::Not(HasSubstr("two and two")));
  EXPECT_THAT(own.format({said.begin(), said.begin() + 2}, false), HasSubstr("two and two"));
  EXPECT_THAT(ChatTemplate("chatml").format(said, true), ::testing::Not(HasSubstr("two and two")));
}

TEST_F(Jinja, GoesOnTurnByTurn) {
  Conversation conversation(ChatTemplate::of(*model_), "");
  EXPECT_THAT(conversation.ask("first"), EndsWith("<|im_start|>assistant"));
  conversation.answered();
  EXPECT_EQ(conversation.ask("second"),
            "<|im_end|>\n<|im_start|>usersecond<|im_end|>\n<|im_start|>assistant");
  conversation.cut_off();
  EXPECT_EQ(conversation.ask("third"),
            "<|im_end|>\n<|im_start|>assistant<|im_end|>\n<|im_start|>userthird<|im_end|>\n"
            "<|im_start|>assistant");
}

TEST_F(Jinja, SaysInALineWhatIsWrong) {
  const auto wrong = [](const TemplateOptions &options) {
    const std::string error = error_of([&] { ChatTemplate::of(*model_, options); });
    EXPECT_EQ(error.find('\n'), error.npos) << error;
    return error;
  };
  EXPECT_THAT(wrong({.name_or_text = "{% if %}"}), HasSubstr("cannot be read: "));
  EXPECT_THAT(wrong({.name_or_text = "{% if %}"}), ::testing::Not(HasSubstr("std::exception")));
  EXPECT_THAT(wrong({.name_or_text = "chatmel"}), HasSubstr("llama.cpp has none of that name"));
  EXPECT_THAT(wrong({.name_or_text = "chatml", .variables = {{"a", "1"}}}),
              HasSubstr("chatml is of llama.cpp's fixed list"));
  EXPECT_THAT(wrong({.jinja = false, .variables = {{"a", "1"}}}),
              HasSubstr("--no-jinja was given"));
  const ChatTemplate refuses = ChatTemplate::of(
      *model_,
      {.name_or_text = "{% for m in messages %}{% if m.content == 'no' %}"
                       "{{ raise_exception('not that') }}{% endif %}{{ m.content }}{% endfor %}"});
  EXPECT_THAT(error_of([&] {
                refuses.format({{"user", "no"}}, true);
              }),
              HasSubstr("cannot write this conversation: "));
  Conversation forgetful(ChatTemplate::of(*model_, {.name_or_text = "{{ messages[0].content }}"}),
                         "");
  forgetful.ask("x");
  forgetful.answered();
  EXPECT_THAT(error_of([&] { forgetful.ask("y"); }), HasSubstr("leaves out what was said"));
}

TEST_F(Jinja, IsNotWantedWhereItsNameIsGiven) {
  EXPECT_FALSE(ChatTemplate::of(*model_, {.name_or_text = "chatml"}).is_jinja());
  EXPECT_FALSE(ChatTemplate::of(*model_, {.jinja = false}).is_jinja());
  EXPECT_FALSE(ChatTemplate::of(Model({.path = *folder_ / "named.gguf"})).is_jinja());
}

TEST_F(Jinja, MustBeForTheLlamaThatRuns) {
  const std::string path = own_library(kJinjaLibrary).value_or("").string();
  const FoundJinja other = open_jinja_library(path, "0.0.1");
  EXPECT_EQ(other.library, nullptr);
  EXPECT_THAT(other.why, HasSubstr("and this is 0.0.1"));
}

TEST(JinjaLibrary, IsMissedInALine) {
  const FoundJinja missing = open_jinja_library("/no/such/library.so", llama_version());
  EXPECT_EQ(missing.library, nullptr);
  EXPECT_THAT(missing.why, HasSubstr("/no/such/library.so cannot be opened"));
}

}  // namespace
}  // namespace vase::engine::test
