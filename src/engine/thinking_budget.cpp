#include "engine/thinking_budget.hpp"

#include <algorithm>
#include <utility>

namespace vase::engine {
namespace {

constexpr std::size_t kLongestMark = 32;  // bytes, and no mark is longer

std::string end_of(const Model &model, std::span<const llama_token> tokens) {
  std::string text;
  for (const llama_token token : tokens.last(std::min(tokens.size(), kTokensOfMark))) {
    text += model.piece(token, true);
  }
  return text;
}

}  // namespace

std::vector<llama_token> end_of_thought(const llama_vocab *vocab, const ThoughtMarks &marks,
                                        const std::string &message) {
  const std::string text = message + std::string(marks.how_to_end());
  std::vector<llama_token> alone = tokenize(vocab, text, false);
  const std::vector<llama_token> with_line = tokenize(vocab, text + "\n\n", false);
  const bool joined = std::ranges::mismatch(alone, with_line).in1 != alone.end();
  return joined ? with_line : alone;
}

bool thinks(const Model &model, std::span<const llama_token> tokens, std::size_t prompt_end) {
  const auto prompt = tokens.first(std::min(prompt_end, tokens.size()));
  if (thought_opened_by(end_of(model, prompt)) != nullptr) return true;
  const auto answer = tokens.subspan(prompt.size());
  const std::string beginning = end_of(model, answer.first(std::min(answer.size(), kTokensOfMark)));
  return std::ranges::any_of(kThoughtMarks, [&](const ThoughtMarks &marks) {
    return beginning.find(marks.open) != beginning.npos;
  });
}

ThinkingBudget::ThinkingBudget(const Model &model, ThinkingOptions options,
                               std::span<const llama_token> prompt)
    : model_(&model),
      options_(std::move(options)),
      opened_by_prompt_(thought_opened_by(end_of(model, prompt))) {
  if (opened_by_prompt_ != nullptr) begin(opened_by_prompt_);
}

std::optional<llama_token> ThinkingBudget::due() const {
  if (ending_.empty()) return std::nullopt;
  return ending_[written_];
}

void ThinkingBudget::push(llama_token token) {
  const std::string piece = model_->piece(token, true);
  utf8_.push(piece);
  if (!ending_.empty()) {
    if (++written_ < ending_.size()) return;
    ending_.clear();
    tail_.clear();
    open_ = nullptr;
    return;
  }
  tail_ += piece;
  if (open_ != nullptr) {
    look_for_end();
  } else {
    for (const ThoughtMarks &marks : kThoughtMarks) {
      if (tail_.find(marks.open) == tail_.npos) continue;
      begin(&marks);
      break;
    }
  }
  if (tail_.size() > kLongestMark) tail_.erase(0, tail_.size() - kLongestMark);
}

void ThinkingBudget::begin(const ThoughtMarks *marks) {
  open_ = marks;
  spent_ = 0;
  tail_.clear();
  end_if_spent();
}

void ThinkingBudget::look_for_end() {
  if (tail_.find(open_->close) != tail_.npos) {
    open_ = nullptr;
    tail_.clear();
    return;
  }
  ++spent_;
  end_if_spent();
}

void ThinkingBudget::end_if_spent() {
  if (options_.budget < 0 || spent_ < options_.budget) return;
  if (!utf8_.between_characters()) return;
  if (inside_mark() && spent_ < options_.budget + kPatience) return;
  ending_ = end_of_thought(model_->vocab(), *open_, options_.message);
  written_ = 0;
  ++cuts_;
}

// Whether the text ends with the beginning of the mark that ends the thought.
bool ThinkingBudget::inside_mark() const {
  for (std::size_t n = std::min(tail_.size(), open_->close.size() - 1); n > 0; --n) {
    if (tail_.ends_with(open_->close.substr(0, n))) return true;
  }
  return false;
}

void ThinkingBudget::go_back(std::span<const llama_token> answer) {
  const ThoughtMarks *was_open = std::exchange(open_, nullptr);
  const std::int64_t spent = spent_;
  const std::int64_t cuts = cuts_;
  tail_.clear();
  ending_.clear();
  utf8_ = {};
  if (opened_by_prompt_ != nullptr) begin(opened_by_prompt_);
  for (const llama_token token : answer) push(token);
  cuts_ = cuts;  // those of `answer` were counted when they came
  if (open_ == nullptr || open_ != was_open || !ending_.empty()) return;
  spent_ = std::max(spent_, spent);
  end_if_spent();
}

}  // namespace vase::engine
