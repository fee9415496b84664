#include "llama/keeper/ledger.hpp"

#include <algorithm>
#include <string>
#include <utility>

#include "vase/llama.hpp"

namespace vase {

Ledger::Ledger(int32_t n_sequences, int32_t heads, int32_t budget, int32_t cells) {
  for (int32_t i = 0; i < n_sequences; ++i)
    pages_.push_back({.rows = SequenceRows(heads, budget, cells)});
}

const Ledger::Page &Ledger::page(int32_t sequence) const {
  if (sequence < 0 || sequence >= n_sequences())
    throw Error("sequence " + std::to_string(sequence) + " is not in 0 to " +
                std::to_string(n_sequences() - 1));
  return pages_[static_cast<size_t>(sequence)];
}

Ledger::Page &Ledger::page(int32_t sequence) {
  return const_cast<Page &>(std::as_const(*this).page(sequence));
}

void Ledger::append(const Placement &placement) {
  page(placement.sequence).rows.append(placement.cell);
}

void Ledger::truncate(int32_t sequence, int64_t position) {
  Page &own = page(sequence);
  if (position >= own.rows.tokens()) return;
  own.rows.truncate(position);
  Prompts &prompts = own.prompts;
  if (position < prompts.first_end) prompts = {};  // one prompt again, and cut
  prompts.newest_begin = std::min(prompts.newest_begin, position);
  prompts.newest_end = std::min(prompts.newest_end, position);
}

void Ledger::begin_turn(int32_t sequence) {
  Prompts &prompts = page(sequence).prompts;
  prompts.newest_end = std::min(prompts.newest_end, tokens(sequence));
  prompts.begin_turn(tokens(sequence));
}

void Ledger::copy(int32_t from, int32_t to) { page(to) = page(from); }

void Ledger::clear(int32_t sequence) {
  Page &own = page(sequence);
  own.rows.clear();
  own.prompts = {};
  own.evictions = own.rows_moved = 0;
}

void Ledger::add_eviction(int32_t sequence, int64_t moved) {
  ++page(sequence).evictions;
  page(sequence).rows_moved += moved;
}

Ledger::Record Ledger::save(int32_t sequence) const {
  const Page &own = page(sequence);
  return {own.rows.save(), own.prompts, own.evictions, own.rows_moved};
}

void Ledger::restore(int32_t sequence, const Record &record) {
  Page &own = page(sequence);
  own.rows.restore(record.rows);
  own.prompts = record.prompts;
  own.evictions = record.evictions;
  own.rows_moved = record.rows_moved;
}

}  // namespace vase
