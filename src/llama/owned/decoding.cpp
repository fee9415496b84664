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

void throw_decode_failure(int32_t status) {
  if (status == 2) throw Stopped(decode_failure(status));
  throw Error(decode_failure(status));
}

std::string why_not_longer(int64_t longest) {
  const std::string tokens = std::to_string(longest);
  return longest == std::numeric_limits<int32_t>::max()
             ? "more than " + tokens + " cannot be counted; clear it first"
             : "this model has learned " + tokens + " positions and knows none beyond";
}

std::vector<Pending> ContextState::accept(std::span<const SequenceInput> inputs) const {
  std::vector<Pending> pending;
  int64_t at_once = 0;  // tokens whose logits are wanted together
  for (const SequenceInput &input : inputs) {
    const SequenceRows &rows = keeper->ledger().rows(input.sequence);
    const int32_t at_a_time = room(input.sequence, When::kDue);
    const std::string name = "sequence " + std::to_string(input.sequence);
    if (input.tokens.empty()) throw Error(name + " was given no tokens");
    if (input.all_logits && static_cast<int64_t>(input.tokens.size()) > at_a_time)
      throw Error(name + " was given " + std::to_string(input.tokens.size()) +
                  " tokens with all logits, but takes " + std::to_string(at_a_time) +
                  " in one piece");
    const int64_t length = rows.tokens() + static_cast<int64_t>(input.tokens.size());
    if (length > keeper->longest())
      throw Error(name + " would be " + std::to_string(length) + " tokens long, and " +
                  why_not_longer(keeper->longest()));
    if (!shape.evicts &&
        static_cast<int64_t>(input.tokens.size()) > keeper->free_cells(input.sequence))
      throw Error(name + " is full: " + std::to_string(rows.rows()) + " of " +
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
    const int32_t free = std::min(keeper->free_cells(input.sequence), shape.piece);
    const auto left = static_cast<int64_t>(input.tokens.size());
    all_fit = all_fit && left <= free;
    total += left;
    input.now = static_cast<int32_t>(std::min<int64_t>(left, free));
  }
  if (all_fit && total <= n_batch) return true;

  // The long ones go first; if all fit their cells and pieces but not one batch, everyone goes.
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
  bridging_.clear();
  int64_t to_come = 0;  // tokens that the batch must still hold
  for (const Pending &input : pending) to_come += input.now;
  int32_t previous = -1;  // the sequence before in the batch
  for (Pending &input : pending) {
    Sequence &s = sequence(input.sequence);
    s.first_logits = -1;
    s.n_logits = 0;
    if (input.now == 0) continue;
    if (previous >= 0) bridge(previous + 1, input.sequence, to_come);
    previous = input.sequence;
    to_come -= input.now;
    const int64_t first = keeper->ledger().tokens(input.sequence);
    for (int32_t i = 0; i < input.now; ++i) {
      const bool logits = last && (input.all_logits || i + 1 == input.now);
      if (logits && s.first_logits < 0) s.first_logits = batch.size();
      s.n_logits += logits ? 1 : 0;
      batch.add(input.tokens[static_cast<size_t>(i)], static_cast<llama_pos>(first + i),
                input.sequence, logits);
    }
  }

  try {
    if (const int32_t status = run_llama(); status != 0) throw_decode_failure(status);
  } catch (const Error &) {
    for (const Pending &input : pending) sequence(input.sequence) = {};
    throw;
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
    if (keeper->free_cells(index) == 0) return;
  for (int32_t index = first; index < end; ++index) {
    bridging_.push_back(index);
    batch.add(0, static_cast<llama_pos>(keeper->ledger().tokens(index)), index, false);
  }
}

int32_t ContextState::run_llama() {
  const auto start = std::chrono::steady_clock::now();
  keeper->before_decode({.sequences = batch.sequences(), .passing = bridging_});
  const int32_t status = llama_decode(context.get(), batch.get());
  llama_synchronize(context.get());
  keeper->after_decode(status == 0);
  timings.decode += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return status;
}

int32_t ContextState::room(int32_t sequence, When when) const {
  return std::min(keeper->room(sequence, when), shape.piece);
}

bool ContextState::decode(std::span<const SequenceInput> inputs, const Progress &progress) {
  std::vector<Pending> pending = accept(inputs);
  for (Sequence &s : sequences) s.first_logits = -1;
  int64_t total = 0, done = 0;
  std::vector<int32_t> all, eager;  // sequences that decode; those that do not wait until full
  for (const Pending &input : pending) {
    total += static_cast<int64_t>(input.tokens.size());
    const Ledger &ledger = keeper->ledger();
    if (ledger.tokens(input.sequence) == 0 && ledger.prompts(input.sequence).newest_end == 0)
      keeper->set_prompt_end(input.sequence, static_cast<int64_t>(input.tokens.size()));
    all.push_back(input.sequence);
    if (!input.fill) eager.push_back(input.sequence);
  }
  if (pending.empty()) return true;
  keeper->settle(eager, When::kDue);

  for (;;) {
    keeper->settle(all, When::kFull);
    const bool last = fill_batch(pending);
    for (const Pending &input : pending) done += input.now;
    run_batch(pending, last);
    if (last) break;
    if (progress && !progress(done, total)) {
      for (const int32_t sequence : all)
        keeper->set_prompt_end(sequence, std::min(keeper->ledger().prompts(sequence).newest_end,
                                                  keeper->ledger().tokens(sequence)));
      return false;
    }
  }
  return true;
}

}  // namespace vase
