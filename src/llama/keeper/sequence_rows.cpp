#include "llama/keeper/sequence_rows.hpp"

#include <algorithm>
#include <numeric>

namespace vase {

SequenceRows::SequenceRows(int32_t heads, int32_t budget, int32_t cells)
    : budget_(budget), survivors_(static_cast<size_t>(heads) * static_cast<size_t>(budget)) {
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

void SequenceRows::drop_oldest(int32_t freed) {
  cells_.erase(cells_.begin(), cells_.begin() + freed);
  n_survivors_ = rows();
}

void SequenceRows::clear() {
  cells_.clear();
  tokens_ = 0;
  n_survivors_ = 0;
}

}  // namespace vase
