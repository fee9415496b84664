// What is kept of every sequence of a context: the one place where tokens are counted.
#ifndef VASE_LLAMA_KEEPER_LEDGER_HPP
#define VASE_LLAMA_KEEPER_LEDGER_HPP

#include <cstdint>
#include <vector>

#include "llama/graph/placements.hpp"
#include "llama/keeper/sequence_rows.hpp"
#include "vase/llama.hpp"

namespace vase {

/// Tokens, cells, survivors and the prompts of each sequence, and how often it was
/// evicted from. Calls with a sequence that is not there throw Error.
class Ledger {
 public:
  Ledger() = default;
  /// `heads`, `budget`, `cells`: as SequenceRows has them, for each sequence.
  Ledger(int32_t n_sequences, int32_t heads, int32_t budget, int32_t cells);

  int32_t n_sequences() const { return static_cast<int32_t>(pages_.size()); }
  const SequenceRows &rows(int32_t sequence) const { return page(sequence).rows; }
  int64_t tokens(int32_t sequence) const { return rows(sequence).tokens(); }
  int64_t evictions(int32_t sequence) const { return page(sequence).evictions; }
  int64_t rows_moved(int32_t sequence) const { return page(sequence).rows_moved; }
  SequenceStatistics statistics(int32_t sequence) const {
    return {tokens(sequence), rows(sequence).rows(), evictions(sequence), rows_moved(sequence)};
  }
  const Prompts &prompts(int32_t sequence) const { return page(sequence).prompts; }

  /// A token of its sequence went into a cell.
  void append(const Placement &placement);
  /// Takes the tokens from `position` on back. Throws Error if that is below first_own().
  void truncate(int32_t sequence, int64_t position);
  /// The first position to which a sequence may be truncated (SequenceRows::first_own).
  int64_t first_own(int32_t sequence) const { return rows(sequence).first_own(); }
  void set_prompts(int32_t sequence, const Prompts &prompts) { page(sequence).prompts = prompts; }
  /// What comes is another prompt than what was so far.
  void begin_turn(int32_t sequence);
  /// `to` becomes as `from` is.
  void copy(int32_t from, int32_t to);
  void clear(int32_t sequence);

  /// For an evictor, which tells the rows what survived.
  SequenceRows &rows_to_evict(int32_t sequence) { return page(sequence).rows; }
  void add_eviction(int32_t sequence, int64_t moved);

  /// A sequence as plain data. Rows, queries and what a device keeps are not in it.
  struct Record {
    SequenceRows::Record rows;
    Prompts prompts = {};
    int64_t evictions = 0;
    int64_t rows_moved = 0;
  };
  Record save(int32_t sequence) const;
  /// Throws Error, and changes nothing, if `record` does not fit.
  void restore(int32_t sequence, const Record &record);

 private:
  struct Page {
    SequenceRows rows;
    Prompts prompts = {};
    int64_t evictions = 0;
    int64_t rows_moved = 0;
  };
  const Page &page(int32_t sequence) const;
  Page &page(int32_t sequence);

  std::vector<Page> pages_;
};

}  // namespace vase

#endif
