// Which cells a sequence holds and which tokens their rows stand for.
#ifndef VASE_LLAMA_KEEPER_SEQUENCE_ROWS_HPP
#define VASE_LLAMA_KEEPER_SEQUENCE_ROWS_HPP

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace vase {

/// One sequence's rows, by llama.cpp's labels.
///
/// llama.cpp labels each cell with a position, and it frees cells by label. A token's label is its
/// index in the sequence; live labels are always the newest ones without a gap. Eviction moves the
/// rows of each head away from the cells with the oldest labels and frees those, so a label says
/// nothing about the rows in its cell: per layer and head, the rows of the older cells (the
/// "survivors" of the last eviction) stand for tokens listed here. Cells filled since then hold
/// their own token for all heads.
class SequenceRows {
 public:
  SequenceRows() = default;
  /// `heads`: KV heads of all bounded layers together, 0 if survivors are kept elsewhere (on the
  /// device). `budget`: rows that stay after an eviction.
  SequenceRows(int32_t heads, int32_t budget, int32_t cells);

  int64_t tokens() const { return tokens_; }
  int32_t rows() const { return static_cast<int32_t>(cells_.size()); }
  /// Rows of tokens that came after the last eviction: the last of cells(), the same for all heads.
  int32_t new_rows() const { return rows() - n_survivors_; }
  /// The oldest live label.
  int64_t oldest_label() const { return tokens_ - rows(); }
  /// The first token from which on every row still lies in the cell that it was written to, in all
  /// heads: what came after may be taken back. Where survivors are kept elsewhere it may be later
  /// than it need be.
  int64_t first_own() const { return first_own_; }
  /// Cells in the order of their labels, the oldest first.
  std::span<const int32_t> cells() const { return cells_; }

  void append(int32_t cell);
  /// Writes to positions[rows()] the token index that each row of a head stands for, in the order
  /// of cells(). `head` counts over all layers.
  void positions(int32_t head, std::span<int32_t> positions) const;
  /// Tells what a head holds after an eviction: of `positions` (as above, after the moves) all but
  /// the first `freed`. Heads may be told from several threads; drop_oldest() follows once.
  void set_survivors(int32_t head, std::span<const int32_t> positions, int32_t freed);
  /// Writes to sums[rows()] what the policy has found of each row of a head so far
  /// (vase_layer.sums), in the order of cells().
  void sums(int32_t head, std::span<float> sums) const;
  /// Says whether the policy sums up: if so, set_sums() follows for each head, as set_survivors();
  /// if not, what was found of the rows is forgotten.
  void keep_sums(bool keep);
  void set_sums(int32_t head, std::span<const float> sums, int32_t freed);
  /// `recency`: newest rows that the eviction surely left where they were; matters only where
  /// survivors are kept elsewhere.
  void drop_oldest(int32_t freed, int32_t recency = 0);
  /// Takes the tokens from `tokens` on back. Throws Error if that is below first_own().
  void truncate(int64_t tokens);
  void clear();

  /// Plain data, without pointers: what save() gives, restore() takes back, here or elsewhere.
  struct Record {
    int64_t tokens = 0;
    int64_t first_own = 0;
    int32_t n_survivors = 0;
    std::vector<int32_t> cells;      ///< in label order; whoever moved the rows renumbers them
    std::vector<int32_t> survivors;  ///< [heads][n_survivors] token indices
    std::vector<float> sums;         ///< [heads][n_survivors]; none if the policy does not sum up
  };
  Record save() const;
  /// Throws Error if `record` does not fit: other heads, more rows than there are cells.
  void check_fits(const Record &record) const;
  /// Throws as check_fits() does, and changes nothing then.
  void restore(const Record &record);

 private:
  int64_t find_first_own() const;

  int32_t heads_ = 0;
  int32_t budget_ = 0;
  int32_t capacity_ = 0;  // cells
  int64_t tokens_ = 0;
  int64_t first_own_ = 0;
  int32_t n_survivors_ = 0;         // the first cells, whose rows differ from head to head
  std::vector<int32_t> cells_;      // in label order
  std::vector<int32_t> survivors_;  // [heads][budget] token indices
  std::vector<float> sums_;         // [heads][budget] of the survivors; none: all are 0
};

}  // namespace vase

#endif
