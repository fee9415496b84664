#include "eval/dialogue.hpp"

#include "engine/thought_marks.hpp"
#include "engine/utf8.hpp"
#include "eval/thought.hpp"

namespace vase::eval {

std::string text_of(const engine::Model &model, const std::vector<llama_token> &tokens) {
  engine::Utf8Assembler utf8;
  std::string text;
  for (const llama_token token : tokens) {
    std::string piece = model.piece(token);
    if (piece.empty()) {
      piece = model.piece(token, true);
      if (!is_thought_mark(piece)) continue;
    }
    text += utf8.push(piece);
  }
  return text + utf8.finish();
}

Dialogue::Dialogue(const engine::Model &model, const engine::ChatTemplate &chat_template,
                   const std::string &system, const Question &question)
    : model_(&model), turns_(turns_of(question)), conversation_(chat_template, system) {}

std::vector<llama_token> Dialogue::ask() {
  const std::string text = conversation_.ask(turns_[next_].text);
  const engine::ThoughtMarks *opened = engine::thought_opened_by(text);
  opened_thought_ = opened == nullptr ? "" : opened->open;
  return model_->tokenize(text, next_++ == 0);
}

}  // namespace vase::eval
