// What happens to sequences: decodes, and what is taken back, copied and cleared.
#include <algorithm>
#include <string>

#include "llama/keeper/keeper.hpp"

namespace vase {

// Only the newest queries before an eviction are ever read, and none is due before budget +
// interval rows are there. So most of a prompt, and all of a short text, needs no capture.
std::vector<QueryWish> Keeper::wishes() const {
  if (evictor_->queries() == nullptr) return {};
  std::vector<QueryWish> wishes(treatments_.size());
  std::vector<int64_t> coming(treatments_.size());  // tokens in the batch
  for (const llama_seq_id sequence : batch_) ++coming[static_cast<size_t>(sequence)];
  for (int32_t sequence = 0; sequence < ledger_.n_sequences(); ++sequence) {
    if (std::ranges::find(passing_, sequence) != passing_.end()) continue;
    const auto s = static_cast<size_t>(sequence);
    const SequenceRows &rows = ledger_.rows(sequence);
    const vase_params &policy = treatments_[s].params;
    const int64_t until_due = int64_t{policy.budget} + policy.interval - rows.rows();
    wishes[s] = {rows.tokens(), rows.tokens() + std::max(until_due, coming[s]) - policy.window};
  }
  return wishes;
}

void Keeper::before_decode(const ComingDecode &coming) {
  batch_.assign(coming.sequences.begin(), coming.sequences.end());
  passing_.assign(coming.passing.begin(), coming.passing.end());
  if (watcher_ != nullptr) watcher_->begin_decode(batch_, wishes());
}

void Keeper::after_decode(bool succeeded) {
  if (watcher_ != nullptr) watcher_->end_decode(succeeded);
  std::vector<int32_t> take_back = passing_;
  if (!succeeded)
    for (int32_t sequence = 0; sequence < ledger_.n_sequences(); ++sequence)
      if (batch_.empty() || std::ranges::find(batch_, sequence) != batch_.end())
        take_back.push_back(sequence);
  std::string stuck;
  for (const int32_t sequence : take_back)
    if (!labels_->remove(sequence, ledger_.tokens(sequence), kAllLabels))
      stuck = std::to_string(sequence);
  if (succeeded) append_placements();
  if (!stuck.empty())
    throw Error("llama.cpp does not take back the newest tokens of sequence " + stuck +
                "; clear it");
}

void Keeper::append_placements() {
  const auto append = [&](const Placement &placement) {
    if (std::ranges::find(passing_, placement.sequence) == passing_.end())
      ledger_.append(placement);
  };
  if (watcher_ != nullptr) {
    for (const Placement &placement : watcher_->placements()) append(placement);
  } else {
    // Nothing will be evicted, so cells do not matter; only their number does.
    for (const llama_seq_id sequence : batch_) append({sequence, 0});
  }
}

bool Keeper::seq_rm(int32_t sequence, int64_t first, int64_t end) {
  const int64_t tokens = ledger_.tokens(sequence);
  first = std::max<int64_t>(0, first);
  if (end < 0 || end > tokens) end = tokens;
  if (first >= end) return true;  // there is nothing
  if (end != tokens) return false;
  if (first > 0 && first < ledger_.first_own(sequence)) return false;
  if (!labels_->remove(sequence, first, kAllLabels)) return false;
  if (first == 0)
    ledger_.clear(sequence);
  else
    ledger_.truncate(sequence, first);
  return true;
}

// llama.cpp copies the cells at the start of its next decode. An eviction in between would move
// rows that are not there yet, so one that is due comes first; the next one needs new tokens, and
// those a decode.
void Keeper::seq_cp(int32_t from, int32_t to) {
  Treatment &target = treatment(to);
  const Treatment &source = treatment(from);
  if (from == to) return;
  settle({&from, 1}, When::kDue);
  if (evictor_) evictor_->copy(from, to);
  labels_->copy(from, to);
  ledger_.copy(from, to);
  target.params = source.params;
  target.pin_prompt = source.pin_prompt;
}

// A cleared memory fills its cells from the first one again, which freeing all labels does not
// promise; so a run on a cleared context repeats to the last bit.
void Keeper::clear(int32_t sequence) {
  int64_t elsewhere = -ledger_.tokens(sequence);  // tokens of other sequences
  for (int32_t other = 0; other < ledger_.n_sequences(); ++other)
    elsewhere += ledger_.tokens(other);
  if (elsewhere == 0)
    labels_->clear(false);
  else if (!labels_->remove(sequence, kAllLabels, kAllLabels))
    throw Error("llama.cpp does not clear sequence " + std::to_string(sequence));
  ledger_.clear(sequence);
}

void Keeper::clear_all(bool data) {
  labels_->clear(data);
  for (int32_t sequence = 0; sequence < ledger_.n_sequences(); ++sequence) ledger_.clear(sequence);
}

Keeper::Record Keeper::save(int32_t sequence) const {
  Record record{ledger_.save(sequence), {}};
  if (!evictor_) return record;
  KeptOfSequence kept = evictor_->save(sequence, ledger_.rows(sequence));
  if (evictor_->survivor_heads() == 0) {
    record.ledger.rows.survivors = std::move(kept.survivors);
    record.ledger.rows.sums = std::move(kept.sums);
  }
  record.queries = std::move(kept.queries);
  return record;
}

// What of a record is the evictor's.
KeptOfSequence Keeper::take_kept(Record &record) const {
  KeptOfSequence kept{{}, {}, std::move(record.queries)};
  if (evictor_ && evictor_->survivor_heads() == 0) {
    kept.survivors = std::exchange(record.ledger.rows.survivors, {});
    kept.sums = std::exchange(record.ledger.rows.sums, {});
  }
  return kept;
}

void Keeper::check_fits(Record record) const {
  take_kept(record);
  ledger_.rows(0).check_fits(record.ledger.rows);
}

void Keeper::restore(int32_t sequence, Record record) {
  const KeptOfSequence kept = take_kept(record);
  ledger_.restore(sequence, record.ledger);
  if (evictor_) evictor_->restore(sequence, ledger_.rows(sequence), kept);
}

}  // namespace vase
