// Splits an answer by llama.cpp's parser for the model's chat template.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "server/answer_splitter.hpp"

namespace vase::server {

/// The parser reads the whole answer so far, so it is asked only where a piece may hold a mark, or
/// stand behind the beginning of one: what is written between is added to the part that is open.
class ParsedAnswer final : public AnswerSplitter {
 public:
  /// `begins_inside`: the prompt has opened the reasoning.
  ParsedAnswer(std::shared_ptr<const engine::AnswerParser> parser, bool begins_inside);

  SplitText push(std::string_view text) override;
  /// What the parser cannot read goes to the content.
  SplitText finish() override;
  bool reasoning() const override;

 private:
  SplitText advance(bool whole);
  std::string *open_part();

  std::shared_ptr<const engine::AnswerParser> parser_;
  bool begins_inside_;
  std::string answer_;
  SplitText told_;
  std::size_t settled_ = 0;  // bytes of the answer up to which all that is to be told was told
};

}  // namespace vase::server
