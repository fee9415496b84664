#include <gtest/gtest.h>

#include "engine/chat.hpp"

namespace vase::engine {
namespace {

// What is appended turn by turn, with the model's words in between, is what the template writes for
// the whole conversation at once.
TEST(Conversation, AppendsWhatTheTemplateWritesAtOnce) {
  for (const char *name : {"chatml", "llama3", "gemma", "phi3", "zephyr"}) {
    const ChatTemplate chat_template{std::string(name)};
    Conversation conversation(chat_template, "");
    std::string text = conversation.ask("first question");
    text += "first answer";
    conversation.answered();
    text += conversation.ask("second question");

    EXPECT_EQ(text, chat_template.format({{"user", "first question"},
                                          {"assistant", "first answer"},
                                          {"user", "second question"}},
                                         true))
        << name;
  }
}

TEST(Conversation, StartsWithTheSystemMessage) {
  Conversation conversation(ChatTemplate{std::string("chatml")}, "Be brief.");
  EXPECT_EQ(conversation.ask("Hello"),
            "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHello<|im_end|>\n"
            "<|im_start|>assistant\n");
  conversation.answered();
  EXPECT_EQ(conversation.ask("Still there?"),
            "<|im_end|>\n<|im_start|>user\nStill there?<|im_end|>\n<|im_start|>assistant\n");
}

// gemma's template trims what was said; the cache holds it untrimmed.
TEST(Conversation, ClosesAnAnswerThatTheTemplateTrims) {
  Conversation conversation(ChatTemplate{std::string("gemma")}, "");
  conversation.ask("Hello");
  conversation.answered();
  EXPECT_TRUE(conversation.ask("Bye").starts_with("<end_of_turn>\n<start_of_turn>user\nBye"));
}

// mistral's puts a space before the answer, which the model may not have written.
TEST(Conversation, ClosesAnAnswerThatTheTemplateSetsApart) {
  Conversation conversation(ChatTemplate{std::string("mistral-v3")}, "");
  conversation.ask("Hello");
  conversation.answered();
  EXPECT_EQ(conversation.ask("Bye"), "</s>[INST] Bye[/INST]");
}

TEST(ChatTemplate, RefusesOneThatLlamaDoesNotKnow) {
  EXPECT_THROW(ChatTemplate{std::string("{{ no such thing }}")}, Error);
}

}  // namespace
}  // namespace vase::engine
