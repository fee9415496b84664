// Chat templates in Jinja and the parsers of answers, by llama.cpp's library `common`. All that
// knows of that library is in this file, for its functions are C++ and change with each version.
#include <chat.h>
#include <log.h>

#include <algorithm>
#include <exception>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/chat_writer.hpp"

namespace vase::engine {
namespace {

void drop_space_at_start(std::string &text) {
  text.erase(0, std::min(text.find_first_not_of(" \t\r\n"), text.size()));
}

class JinjaParser final : public AnswerParser {
 public:
  explicit JinjaParser(const common_chat_params &prompt) : params_(prompt) {
    params_.reasoning_format = COMMON_REASONING_FORMAT_DEEPSEEK;
    params_.parse_tool_calls = false;
    if (!prompt.parser.empty()) params_.parser.load(prompt.parser);
  }

  SplitText parse(const std::string &answer, bool whole) const override {
    common_chat_msg message = common_chat_parse(answer, !whole, params_);
    SplitText text{.reasoning = std::move(message.reasoning_content),
                   .content = std::move(message.content)};
    drop_space_at_start(text.reasoning);
    if (!text.reasoning.empty()) drop_space_at_start(text.content);
    return text;
  }

 private:
  common_chat_parser_params params_;
};

class JinjaWriter final : public ChatWriter {
 public:
  JinjaWriter(const llama_model *model, const std::string &text)
      : templates_(common_chat_templates_init(model, text)),
        thinks_(common_chat_templates_support_enable_thinking(templates_.get())) {}

  ChatPrompt write(const std::vector<ChatMessage> &messages, bool open_answer,
                   const TemplateVariables &variables) const override {
    common_chat_templates_inputs inputs;
    for (const ChatMessage &message : messages) {
      common_chat_msg &one = inputs.messages.emplace_back();
      one.role = message.role;
      one.content = message.content;
      one.reasoning_content = message.reasoning;
    }
    inputs.add_generation_prompt = open_answer;
    inputs.reasoning_format = COMMON_REASONING_FORMAT_DEEPSEEK;
    inputs.chat_template_kwargs = variables;
    // As llama-server has it where it is told nothing else.
    inputs.chat_template_kwargs.try_emplace("preserve_reasoning", "true");
    inputs.enable_thinking = thinks_;
    if (const auto given = variables.find("enable_thinking"); given != variables.end()) {
      inputs.enable_thinking = given->second == "true";
    }
    inputs.force_pure_content = !open_answer;  // no parser is needed, which costs most of the time
    common_chat_params prompt = common_chat_templates_apply(templates_.get(), inputs);
    ChatPrompt result{.text = std::move(prompt.prompt),
                      .stops = prompt.additional_stops,
                      .marks = prompt.preserved_tokens};
    if (open_answer) result.parser = std::make_shared<JinjaParser>(prompt);
    return result;
  }

 private:
  common_chat_templates_ptr templates_;
  bool thinks_;
};

std::unique_ptr<ChatWriter> open(const llama_model *model, const std::string &text) {
  common_log_set_verbosity_thold(-1);  // what goes wrong is thrown
  try {
    return std::make_unique<JinjaWriter>(model, text);
  } catch (const std::exception &) {
    // Of a text that cannot be read it throws a copy without the reason.
    const std::string source = text.empty() ? llama_model_chat_template(model, nullptr) : text;
    const common_chat_template read(source, "", "");
    throw;
  }
}

}  // namespace
}  // namespace vase::engine

extern "C" __attribute__((visibility("default"))) const vase::engine::JinjaLibrary *vase_jinja() {
  static constexpr vase::engine::JinjaLibrary kLibrary{VASE_LLAMA_VERSION, vase::engine::open};
  return &kLibrary;
}
