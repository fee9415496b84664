// Splits an answer by the marks that models put around a thought at its start.
#pragma once

#include <string>
#include <string_view>

#include "engine/thought_marks.hpp"
#include "server/answer_splitter.hpp"

namespace vase::server {

class ReasoningSplitter final : public AnswerSplitter {
 public:
  enum class Start {
    answer,  ///< the model may open its reasoning itself
    plain,   ///< leave the text as it is
  };
  explicit ReasoningSplitter(Start start);
  /// The prompt has opened the reasoning, by these.
  explicit ReasoningSplitter(const engine::ThoughtMarks &opened);

  SplitText push(std::string_view text) override;
  SplitText finish() override;
  bool reasoning() const override { return state_ == State::thinking; }

 private:
  enum class State { undecided, thinking, answering };

  SplitText advance(bool at_end);
  bool leave_undecided(bool at_end);
  std::size_t beginning_of_close() const;

  State state_;
  const engine::ThoughtMarks *marks_ = nullptr;  // of the thought
  bool trim_reasoning_ = true;                   // no newlines at the start of the reasoning,
  bool trim_content_ = false;                    // nor of an answer behind it
  std::string held_;
};

}  // namespace vase::server
