// When a sequence is evicted from, what the eviction is given, and what follows from it.
#include <algorithm>
#include <chrono>
#include <string>

#include "llama/keeper/keeper.hpp"

namespace vase {

bool Keeper::is_time(int32_t sequence, When when) const {
  if (!evictor_) return false;
  const vase_params &p = params(sequence);
  return when == When::kFull ? free_cells(sequence) == 0
                             : ledger_.rows(sequence).rows() >= p.budget + p.interval;
}

int32_t Keeper::free_cells(int32_t sequence) const {
  return options_.cells - ledger_.rows(sequence).rows();
}

int32_t Keeper::room(int32_t sequence, When when) const {
  const int32_t free =
      is_time(sequence, when) ? options_.cells - params(sequence).budget : free_cells(sequence);
  return static_cast<int32_t>(std::min<int64_t>(free, longest() - ledger_.tokens(sequence)));
}

void Keeper::set_prompt_end(int32_t sequence, int64_t end) {
  Prompts prompts = ledger_.prompts(sequence);
  prompts.newest_end = end;
  ledger_.set_prompts(sequence, prompts);
}

// Of a prompt longer than its share the newest rows stay; half of the first prompt is of no use
// (docs/results.md), so that one stays as a whole or not at all. The share never crowds out sinks
// and recency window. What counts is what has been read so far, so that it does not matter how a
// prompt was cut.
Pinned Keeper::pinned(int32_t sequence) const {
  const Treatment &own = treatment(sequence);
  const int64_t share = std::min<int64_t>(
      static_cast<int64_t>(static_cast<double>(own.pin_prompt) * own.params.budget),
      own.params.budget - own.params.recency - own.params.sinks);
  if (share <= 0) return {};
  const Prompts &prompts = ledger_.prompts(sequence);
  const int64_t tokens = ledger_.tokens(sequence);
  const bool in_first = prompts.first_end > 0 && tokens <= prompts.newest_begin;
  const int64_t end = std::min(in_first ? prompts.first_end : prompts.newest_end, tokens);
  const int64_t begin = std::max(in_first ? 0 : std::min(prompts.newest_begin, end), end - share);
  const bool fits = !in_first && prompts.first_end <= share - (end - begin);
  return {static_cast<int32_t>(fits ? prompts.first_end : 0), static_cast<int32_t>(begin),
          static_cast<int32_t>(end)};
}

Eviction Keeper::next_eviction(int32_t sequence) const {
  Eviction eviction;
  eviction.stream = sequence;
  eviction.draw_stream = treatment(sequence).draw_stream;
  eviction.number = static_cast<uint32_t>(ledger_.evictions(sequence));
  eviction.pinned = pinned(sequence);
  eviction.params = params(sequence);
  return eviction;
}

void Keeper::settle(std::span<const int32_t> sequences, When when) {
  std::vector<int32_t> due;
  for (const int32_t sequence : sequences)
    if (is_time(sequence, when)) due.push_back(sequence);
  if (!due.empty()) evict(due);
}

void Keeper::evict(const std::vector<int32_t> &due) {
  const auto start = std::chrono::steady_clock::now();
  std::vector<Eviction> evictions;
  for (const int32_t sequence : due) {
    evictions.push_back(next_eviction(sequence));
    evictions.back().rows = &ledger_.rows_to_evict(sequence);
  }
  std::string refused;
  const FreeLabels free_labels = [&](const Eviction &eviction, int32_t freed) {
    const int64_t first = eviction.rows->oldest_label();
    if (labels_->remove(eviction.stream, first, first + freed)) return true;
    if (refused.empty())
      refused = "llama.cpp does not free positions " + std::to_string(first) + " to " +
                std::to_string(first + freed - 1) + " of sequence " +
                std::to_string(eviction.stream) + ", so it cannot be evicted from";
    return false;
  };
  const auto note = [&] {
    for (const Eviction &eviction : evictions)
      if (eviction.done) ledger_.add_eviction(eviction.stream, eviction.moved);
    eviction_seconds_ +=
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  };
  try {
    evictor_->evict(evictions, free_labels);
  } catch (...) {
    note();
    throw;
  }
  note();
  if (!refused.empty()) throw Error(refused);
}

}  // namespace vase
