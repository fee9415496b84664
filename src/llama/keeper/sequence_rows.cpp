#include "llama/keeper/sequence_rows.hpp"

#include <algorithm>
#include <numeric>
#include <string>

#include "vase/llama.hpp"

namespace vase {

SequenceRows::SequenceRows(int32_t heads, int32_t budget, int32_t cells)
    : heads_(heads),
      budget_(budget),
      capacity_(cells),
      survivors_(static_cast<size_t>(heads) * static_cast<size_t>(budget)) {
  cells_.reserve(static_cast<size_t>(cells));
}

void SequenceRows::append(int32_t cell) {
  cells_.push_back(cell);
  ++tokens_;
}

void SequenceRows::positions(int32_t head, std::span<int32_t> positions) const {
  const auto survivors = survivors_.begin() + static_cast<ptrdiff_t>(head) * budget_;
  const auto appended = std::copy_n(survivors, n_survivors_, positions.begin());
  const auto first = static_cast<int32_t>(tokens_) - new_rows();
  std::iota(appended, positions.begin() + rows(), first);
}

void SequenceRows::set_survivors(int32_t head, std::span<const int32_t> positions, int32_t freed) {
  std::copy(positions.begin() + freed, positions.end(),
            survivors_.begin() + static_cast<ptrdiff_t>(head) * budget_);
}

void SequenceRows::sums(int32_t head, std::span<float> sums) const {
  std::fill(sums.begin(), sums.end(), 0.0f);
  if (!sums_.empty())
    std::copy_n(sums_.begin() + static_cast<ptrdiff_t>(head) * budget_, n_survivors_, sums.begin());
}

void SequenceRows::keep_sums(bool keep) { sums_.resize(keep ? survivors_.size() : 0); }

void SequenceRows::set_sums(int32_t head, std::span<const float> sums, int32_t freed) {
  std::copy(sums.begin() + freed, sums.end(),
            sums_.begin() + static_cast<ptrdiff_t>(head) * budget_);
}

void SequenceRows::drop_oldest(int32_t freed, int32_t recency) {
  cells_.erase(cells_.begin(), cells_.begin() + freed);
  n_survivors_ = rows();
  // A recent row that lay in its own cell still does: rows move only out of the oldest labels.
  first_own_ = heads_ > 0 ? find_first_own() : std::max(first_own_, tokens_ - recency);
}

// Goes back from the newest survivor for as long as all heads have the token that the label says.
int64_t SequenceRows::find_first_own() const {
  int32_t row = n_survivors_;
  for (; row > 0; --row) {
    const int64_t label = oldest_label() + row - 1;
    for (int32_t head = 0; head < heads_; ++head)
      if (survivors_[static_cast<size_t>(head) * static_cast<size_t>(budget_) +
                     static_cast<size_t>(row - 1)] != label)
        return oldest_label() + row;
  }
  return oldest_label();
}

void SequenceRows::truncate(int64_t tokens) {
  if (tokens >= tokens_) return;
  if (tokens < first_own_)
    throw Error("tokens from " + std::to_string(tokens) +
                " on cannot be taken back: rows were evicted since, and only those from token " +
                std::to_string(first_own_) + " on are still in their places");
  cells_.resize(static_cast<size_t>(rows() - (tokens_ - tokens)));
  tokens_ = tokens;
  n_survivors_ = std::min(n_survivors_, rows());
}

void SequenceRows::clear() {
  cells_.clear();
  tokens_ = 0;
  first_own_ = 0;
  n_survivors_ = 0;
}

SequenceRows::Record SequenceRows::save() const {
  Record record{tokens_, first_own_, n_survivors_, cells_, {}, {}};
  const auto append = [this](const auto &all, int32_t head, auto &to) {
    const auto own = all.begin() + static_cast<ptrdiff_t>(head) * budget_;
    to.insert(to.end(), own, own + n_survivors_);
  };
  for (int32_t head = 0; head < heads_; ++head) {
    append(survivors_, head, record.survivors);
    if (!sums_.empty()) append(sums_, head, record.sums);
  }
  return record;
}

void SequenceRows::check_fits(const Record &record) const {
  const auto rows = static_cast<int64_t>(record.cells.size());
  const bool fits =
      rows <= capacity_ && rows <= record.tokens && record.n_survivors >= 0 &&
      record.n_survivors <= rows && (heads_ == 0 || record.n_survivors <= budget_) &&
      record.first_own >= 0 && record.first_own <= record.tokens &&
      static_cast<int64_t>(record.survivors.size()) == int64_t{heads_} * record.n_survivors &&
      (record.sums.empty() || record.sums.size() == record.survivors.size()) &&
      std::ranges::all_of(record.cells,
                          [&](int32_t cell) { return cell >= 0 && cell < capacity_; });
  if (!fits)
    throw Error("a saved sequence of " + std::to_string(record.tokens) + " tokens and " +
                std::to_string(rows) + " rows does not fit into " + std::to_string(capacity_) +
                " cells of " + std::to_string(heads_) + " heads with a budget of " +
                std::to_string(budget_));
}

void SequenceRows::restore(const Record &record) {
  check_fits(record);
  tokens_ = record.tokens;
  first_own_ = record.first_own;
  n_survivors_ = record.n_survivors;
  cells_ = record.cells;
  keep_sums(!record.sums.empty());
  const auto take = [this](const auto &from, int32_t head, auto &all) {
    std::copy_n(from.begin() + static_cast<ptrdiff_t>(head) * n_survivors_, n_survivors_,
                all.begin() + static_cast<ptrdiff_t>(head) * budget_);
  };
  for (int32_t head = 0; head < heads_; ++head) {
    take(record.survivors, head, survivors_);
    if (!sums_.empty()) take(record.sums, head, sums_);
  }
}

}  // namespace vase
