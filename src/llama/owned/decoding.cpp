#include <algorithm>
#include <chrono>
#include <limits>
#include <string>
#include <vector>

#include "llama/owned/context_state.hpp"

namespace vase {

std::string decode_failure(int32_t status) {
  const std::string what = status == 2    ? "it was stopped"
                           : status == 1  ? "it found no free cells"
                           : status == -1 ? "the batch is invalid (a token outside the vocabulary?)"
                                          : "status " + std::to_string(status);
  return "llama_decode failed: " + what;
}

std::vector<Pending> ContextState::accept(std::span<const SequenceInput> inputs) {
  std::vector<Pending> pending;
  int64_t at_once = 0;  // tokens whose logits are wanted together
  for (const SequenceInput &input : inputs) {
    const Sequence &s = sequence(input.sequence);
    const std::string name = "sequence " + std::to_string(input.sequence);
    if (input.tokens.empty()) throw Error(name + " was given no tokens");
    if (input.all_logits && static_cast<int64_t>(input.tokens.size()) > room(s, eviction_due(s)))
      throw Error(name + " was given " + std::to_string(input.tokens.size()) +
                  " tokens with all logits, but takes " + std::to_string(room(s, eviction_due(s))) +
                  " in one piece");
    if (s.rows.tokens() + static_cast<int64_t>(input.tokens.size()) >
        std::numeric_limits<int32_t>::max())
      throw Error(name + " would be longer than 2^31 tokens; clear it first");
    if (!shape.evicts && static_cast<int64_t>(input.tokens.size()) > free_cells(s))
      throw Error(name + " is full: " + std::to_string(s.rows.rows()) + " of " +
                  std::to_string(shape.cells) + " cells are used and " +
                  std::to_string(input.tokens.size()) +
                  " tokens are to come; use a larger context or a policy that evicts");
    at_once += input.all_logits ? static_cast<int64_t>(input.tokens.size()) : 1;
    pending.push_back({input.sequence, input.tokens, input.all_logits, input.fill});
  }
  // llama.cpp puts sequences into one ubatch only in the order of their numbers.
  std::ranges::sort(pending, {}, &Pending::sequence);
  for (size_t i = 1; i < pending.size(); ++i)
    if (pending[i].sequence == pending[i - 1].sequence)
      throw Error("sequence " + std::to_string(pending[i].sequence) + " was given twice");
  if (at_once > static_cast<int64_t>(llama_n_batch(context.get())))
    throw Error("logits of " + std::to_string(at_once) +
                " tokens are wanted at once, but a batch "
                "holds " +
                std::to_string(llama_n_batch(context.get())));
  return pending;
}

// Chooses what goes into the coming batch. llama.cpp keeps the logits of the last batch alone, so
// all sequences end in it: who would be done early waits. Evictions happen when a sequence is
// full and never depend on the others, so a sequence is treated the same in any company.
// Returns true if this is the last batch.
bool ContextState::fill_batch(std::vector<Pending> &pending) const {
  const auto n_batch = static_cast<int64_t>(llama_n_batch(context.get()));
  int64_t total = 0;
  bool all_fit = true;
  for (Pending &input : pending) {
    const int32_t free = free_cells(sequences[static_cast<size_t>(input.sequence)]);
    const auto left = static_cast<int64_t>(input.tokens.size());
    all_fit = all_fit && left <= free;
    total += left;
    input.now = static_cast<int32_t>(std::min<int64_t>(left, free));
  }
  if (all_fit && total <= n_batch) return true;

  // The long ones go first; if all fit their cells but not one batch, everyone goes.
  int64_t going = 0;
  for (Pending &input : pending) {
    const bool waits = (!all_fit && input.done_after()) || input.all_logits;
    input.now = waits ? 0 : std::min(input.now, static_cast<int32_t>(input.tokens.size()) - 1);
    going += input.now > 0 ? 1 : 0;
  }
  const auto share =
      static_cast<int32_t>(std::max<int64_t>(1, n_batch / std::max<int64_t>(1, going)));
  for (Pending &input : pending) input.now = std::min(input.now, share);
  return false;
}

void ContextState::run_batch(std::vector<Pending> &pending, bool last) {
  batch.clear();
  for (Sequence &s : sequences) s.bridging = false;
  int64_t to_come = 0;  // tokens that the batch must still hold
  for (const Pending &input : pending) to_come += input.now;
  wishes.assign(sequences.size(), {});
  int32_t previous = -1;  // the sequence before in the batch
  for (Pending &input : pending) {
    Sequence &s = sequence(input.sequence);
    s.first_logits = -1;
    s.n_logits = 0;
    if (input.now == 0) continue;
    if (previous >= 0) bridge(previous + 1, input.sequence, to_come);
    previous = input.sequence;
    to_come -= input.now;
    const int64_t first = s.rows.tokens();
    for (int32_t i = 0; i < input.now; ++i) {
      const bool logits = last && (input.all_logits || i + 1 == input.now);
      if (logits && s.first_logits < 0) s.first_logits = batch.size();
      s.n_logits += logits ? 1 : 0;
      batch.add(input.tokens[static_cast<size_t>(i)], static_cast<llama_pos>(first + i),
                input.sequence, logits);
    }
    if (watcher) wishes[static_cast<size_t>(input.sequence)] = wish(input, s);
  }

  const int32_t status = run_llama();
  take_bridges_back();
  if (status != 0) undo_batch(pending, status);

  if (watcher) {
    append_placements();
  } else {
    // Nothing will be evicted, so cells do not matter; only their number does.
    for (const Pending &input : pending)
      for (int32_t i = 0; i < input.now; ++i) sequence(input.sequence).rows.append(0);
  }
  for (Pending &input : pending)
    input.tokens = input.tokens.subspan(static_cast<size_t>(input.now));
}

// Puts a token into the batch for each sequence in [first, end), none of which has any to decode.
void ContextState::bridge(int32_t first, int32_t end, int64_t to_come) {
  const int32_t gap = end - first;
  if (gap == 0 || gap > largest_gap) return;
  if (batch.size() + to_come + gap > static_cast<int64_t>(llama_n_batch(context.get()))) return;
  for (int32_t index = first; index < end; ++index)
    if (free_cells(sequence(index)) == 0) return;
  for (int32_t index = first; index < end; ++index) {
    Sequence &s = sequence(index);
    s.bridging = true;
    batch.add(0, static_cast<llama_pos>(s.rows.tokens()), index, false);
  }
}

void ContextState::take_bridges_back() {
  for (int32_t index = 0; index < options.n_sequences; ++index) {
    Sequence &s = sequence(index);
    if (!s.bridging) continue;
    llama_memory_seq_rm(llama_get_memory(context.get()), index,
                        static_cast<llama_pos>(s.rows.tokens()), -1);
  }
}

// Notes where the tokens of the batch went.
void ContextState::append_placements() {
  for (const Placement &placement : watcher->placements()) {
    Sequence &s = sequence(placement.sequence);
    if (!s.bridging) s.rows.append(placement.cell);
  }
}

int32_t ContextState::run_llama() {
  const auto start = std::chrono::steady_clock::now();
  if (watcher) watcher->begin_decode(batch.sequences(), wishes);
  const int32_t status = llama_decode(context.get(), batch.get());
  llama_synchronize(context.get());
  if (watcher) watcher->end_decode(status == 0);
  timings.decode += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return status;
}

// Only the newest queries before an eviction are ever read, and none is due before budget +
// interval rows are there. So most of a prompt, and all of a short text, needs no capture.
QueryWish ContextState::wish(const Pending &input, const Sequence &s) {
  const vase_params &policy = s.params;
  const int64_t until_due = policy.budget + policy.interval - s.rows.rows();
  const int64_t end = std::max<int64_t>(until_due, input.now);
  return {s.rows.tokens(), s.rows.tokens() + end - policy.window};
}

// Forgets the tokens of a batch that failed, so that every sequence is as it was before it.
void ContextState::undo_batch(const std::vector<Pending> &pending, int32_t status) {
  for (const Pending &input : pending) {
    Sequence &s = sequence(input.sequence);
    s.first_logits = -1;
    s.n_logits = 0;
    if (input.now == 0) continue;
    llama_memory_seq_rm(llama_get_memory(context.get()), input.sequence,
                        static_cast<llama_pos>(s.rows.tokens()), -1);
  }
  throw Error(decode_failure(status));
}

bool ContextState::decode(std::span<const SequenceInput> inputs, const Progress &progress) {
  std::vector<Pending> pending = accept(inputs);
  for (Sequence &s : sequences) s.first_logits = -1;
  int64_t total = 0, done = 0;
  std::vector<int32_t> due;  // sequences to evict from
  for (const Pending &input : pending) {
    Sequence &s = sequence(input.sequence);
    total += static_cast<int64_t>(input.tokens.size());
    if (s.rows.tokens() == 0) s.prompt_end = static_cast<int64_t>(input.tokens.size());
    if (!input.fill && eviction_due(s)) due.push_back(input.sequence);
  }
  if (pending.empty()) return true;
  evict(due);

  for (;;) {
    due.clear();
    for (const Pending &input : pending)
      if (free_cells(sequence(input.sequence)) == 0) due.push_back(input.sequence);
    evict(due);
    const bool last = fill_batch(pending);
    for (const Pending &input : pending) done += input.now;
    run_batch(pending, last);
    if (last) break;
    if (progress && !progress(done, total)) {
      for (const Pending &input : pending) {
        Sequence &s = sequence(input.sequence);
        s.prompt_end = std::min(s.prompt_end, s.rows.tokens());
      }
      return false;
    }
  }
  return true;
}
}  // namespace vase
