// When a sequence evicts, and how the queries of its newest tokens come to the evictor.
#include <algorithm>
#include <chrono>
#include <string>
#include <tuple>

#include "llama/context_state.hpp"

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

// A replay takes back the newest tokens by their labels, so these must be tokens that came after
// the last eviction: before it, a label says nothing about the rows in its cell.
bool ContextState::replays(const Sequence &s) const {
  if (!evictor || vase_policy_needs_queries(s.params.policy) == 0) return false;
  if (options.capture == Capture::kEachStep || s.params.interval < s.params.window) return false;
  return options.capture == Capture::kReplay || evictor->prefers_replay();
}

void ContextState::evict(const std::vector<int32_t> &due) {
  if (due.empty()) return;
  std::vector<int32_t> uncaptured;
  for (const int32_t index : due) {
    const Sequence &s = sequence(index);
    if (replays(s) && s.captured < s.params.window) uncaptured.push_back(index);
  }
  // As many at once as a batch holds.
  for (size_t first = 0; first < uncaptured.size();) {
    size_t end = first;
    int64_t tokens = 0;
    while (end < uncaptured.size() && (tokens += sequence(uncaptured[end]).params.window) <=
                                          static_cast<int64_t>(llama_n_batch(context.get())))
      ++end;
    end = std::max(end, first + 1);
    replay(std::span(uncaptured).subspan(first, end - first));
    first = end;
  }

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

// A short input that makes an eviction due: how many tokens before it are decoded again in the same
// batch, so that the batch stops at each layer with all queries of the window. One slow batch in
// place of a stop at each layer of every step.
int32_t ContextState::tokens_to_replay(const Pending &input, const Sequence &s) const {
  const bool makes_due =
      input.now > 0 && s.rows.rows() + input.now >= s.params.budget + s.params.interval;
  if (!makes_due || input.now >= s.params.window || !replays(s)) return 0;
  const int32_t again = s.params.window - input.now;
  return again <= s.rows.new_rows() ? again : 0;
}

// Takes the newest `count` tokens of a sequence back and puts them into the batch, to be captured
// with what follows them.
void ContextState::take_back(int32_t index, int32_t count) {
  Sequence &s = sequence(index);
  const int64_t end = s.rows.tokens(), first = end - count;
  for (int64_t t = first; t < end; ++t)
    batch.add(s.newest[static_cast<size_t>(t % s.params.window)], static_cast<llama_pos>(t), index,
              false);
  llama_memory_seq_rm(llama_get_memory(context.get()), index, static_cast<llama_pos>(first), -1);
  s.rows.drop_newest(count);
  s.captured = s.params.window;
  watcher->set_token_count(index, first);
  watcher->want_queries_from(index, first);
}

// For sequences that must evict and whose newest tokens came in a way that captured no queries.
void ContextState::replay(std::span<const int32_t> due) {
  batch.clear();
  for (Sequence &s : sequences) s.bridging = false;
  for (const int32_t index : due) take_back(index, sequence(index).params.window);
  const int32_t status = run_llama(&Timings::capture);
  if (status != 0) {
    for (const int32_t index : due) watcher->set_token_count(index, sequence(index).rows.tokens());
    throw Error(decode_failure(status) + ", while the newest tokens were decoded again");
  }
  append_placements();
}

}  // namespace vase
