// What an eviction of a sequence is given, and what follows from it.
#include <algorithm>
#include <chrono>
#include <tuple>

#include "llama/owned/context_state.hpp"

namespace vase {

std::pair<int32_t, int32_t> ContextState::pinned(const Sequence &s) {
  const int64_t share =
      std::min<int64_t>(static_cast<int64_t>(static_cast<double>(s.pin_prompt) * s.params.budget),
                        s.params.budget - s.params.recency - s.params.sinks);
  if (share <= 0) return {0, 0};
  // What has been read of the prompt so far, so that it does not matter how the prompt was cut.
  const int64_t end = std::min(s.prompt_end, s.rows.tokens());
  return {static_cast<int32_t>(std::max<int64_t>(0, end - share)), static_cast<int32_t>(end)};
}

Eviction ContextState::next_eviction(int32_t index) {
  Sequence &s = sequence(index);
  Eviction eviction;
  eviction.stream = index;
  eviction.draw_stream = s.draw_stream;
  eviction.number = static_cast<uint32_t>(s.evictions);
  std::tie(eviction.pinned_begin, eviction.pinned_end) = pinned(s);
  eviction.params = s.params;
  eviction.rows = &s.rows;
  return eviction;
}

int32_t ContextState::room(const Sequence &s, bool evicts) const {
  const int32_t cells = evicts ? shape.cells - s.params.budget : free_cells(s);
  return std::min(cells, static_cast<int32_t>(llama_n_batch(context.get())));
}

void ContextState::evict(const std::vector<int32_t> &due) {
  if (due.empty()) return;
  const auto start = std::chrono::steady_clock::now();
  std::vector<Eviction> evictions;
  std::vector<int64_t> freed_from;
  for (const int32_t index : due) {
    evictions.push_back(next_eviction(index));
    freed_from.push_back(sequence(index).rows.oldest_label());
  }
  evictor->evict(evictions);
  for (size_t i = 0; i < due.size(); ++i) {
    Sequence &s = sequence(due[i]);
    s.rows_moved += evictions[i].moved;
    ++s.evictions;
    llama_memory_seq_rm(llama_get_memory(context.get()), due[i],
                        static_cast<llama_pos>(freed_from[i]),
                        static_cast<llama_pos>(s.rows.oldest_label()));
  }
  timings.eviction +=
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace vase
