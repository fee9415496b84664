// Tells what a model thinks from what it says: <think>...</think> at the start of an answer.
#pragma once

#include <string>
#include <string_view>

namespace vase::server {

struct SplitText {
  std::string reasoning = {};
  std::string content = {};
};

/// Takes an answer in pieces, which may end inside a tag.
class ReasoningSplitter {
 public:
  enum class Start {
    answer,     ///< the model may open its reasoning itself
    reasoning,  ///< the prompt has opened it
    plain,      ///< leave the text as it is
  };
  explicit ReasoningSplitter(Start start);

  SplitText push(std::string_view text);
  /// Ends the answer: returns what was held back.
  SplitText finish();
  /// True until the reasoning is closed, while there is or may be any.
  bool reasoning() const { return state_ == State::thinking; }

 private:
  enum class State { undecided, thinking, answering };

  SplitText advance(bool at_end);
  bool leave_undecided(bool at_end);

  State state_;
  bool trim_reasoning_ = true;  // no newlines at the start of the reasoning,
  bool trim_content_ = false;   // nor of an answer behind it
  std::string held_;
};

}  // namespace vase::server
