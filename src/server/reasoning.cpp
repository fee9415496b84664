#include "server/reasoning.hpp"

#include <algorithm>
#include <utility>

namespace vase::server {
namespace {

constexpr std::string_view kSpace = " \t\r\n";

// Drops the space at the start of `text`; stays true while there is nothing else.
void trim_start(std::string &text, bool &trimming) {
  if (!trimming) return;
  text.erase(0, std::min(text.find_first_not_of(kSpace), text.size()));
  trimming = text.empty();
}

}  // namespace

ReasoningSplitter::ReasoningSplitter(Start start)
    : state_(start == Start::answer ? State::undecided : State::answering) {}

ReasoningSplitter::ReasoningSplitter(const engine::ThoughtMarks &opened)
    : state_(State::thinking), marks_(&opened) {}

SplitText ReasoningSplitter::push(std::string_view text) {
  held_.append(text);
  return advance(false);
}

SplitText ReasoningSplitter::finish() { return advance(true); }

// Length of the longest end of what is held that is a proper beginning of the closing mark.
std::size_t ReasoningSplitter::beginning_of_close() const {
  const std::string_view close = marks_->close;
  for (std::size_t n = std::min(held_.size(), close.size() - 1); n > 0; --n) {
    if (held_.ends_with(close.substr(0, n))) return n;
  }
  return 0;
}

// Decides whether the answer opens with a mark. Returns false while that cannot be known.
bool ReasoningSplitter::leave_undecided(bool at_end) {
  const std::size_t first = std::min(held_.find_first_not_of(kSpace), held_.size());
  const std::string_view rest = std::string_view(held_).substr(first);
  for (const engine::ThoughtMarks &marks : engine::kThoughtMarks) {
    if (rest.starts_with(marks.open)) {
      held_.erase(0, first + marks.open.size());
      state_ = State::thinking;
      marks_ = &marks;
      return true;
    }
    if (!at_end && marks.open.starts_with(rest)) return false;
  }
  state_ = State::answering;
  return true;
}

SplitText ReasoningSplitter::advance(bool at_end) {
  SplitText out;
  if (state_ == State::undecided && !leave_undecided(at_end)) return out;
  if (state_ == State::thinking) {
    const std::size_t close = held_.find(marks_->close);
    const bool closed = close != held_.npos;
    const std::size_t keep = closed || at_end ? 0 : beginning_of_close();
    out.reasoning = held_.substr(0, closed ? close : held_.size() - keep);
    held_.erase(0, closed ? close + marks_->close.size() : out.reasoning.size());
    trim_start(out.reasoning, trim_reasoning_);
    if (!closed) return out;
    state_ = State::answering;
    trim_content_ = true;
  }
  out.content = std::exchange(held_, {});
  trim_start(out.content, trim_content_);
  return out;
}

}  // namespace vase::server
