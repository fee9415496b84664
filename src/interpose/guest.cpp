#include "interpose/guest.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <mutex>
#include <string>

#include "interpose/real.hpp"
#include "interpose/report.hpp"
#include "llama/keeper/snapshot.hpp"
#include "llama/plan/calibration.hpp"
#include "llama/plan/context_shape.hpp"

namespace vase::interpose {
namespace {

constexpr int32_t kEvictionFailed = -3;  // llama_decode: below -1 is fatal

// As llama.cpp divides a length among sequences.
uint32_t length_of_sequence(uint32_t n_ctx, const llama_context_params &asked) {
  constexpr uint32_t kPadding = 256;
  const uint32_t sequences = std::max(1u, asked.n_seq_max);
  const uint32_t own = asked.kv_unified ? n_ctx : n_ctx / sequences;
  return std::max(1u, (own + kPadding - 1) / kPadding) * kPadding;
}

ContextShape shape_for(const llama_model *model, const llama_context_params &asked,
                       const Settings &settings) {
  BoundedOptions options{.policy = settings.policy,
                         .n_sequences = static_cast<int32_t>(std::max(1u, asked.n_seq_max)),
                         .pin_prompt = settings.pin_prompt,
                         .context = asked};
  // A batch of the program is never cut, so that the indices of its logits stay; it must fit behind
  // the rows that there are before an eviction is due. Not all programs ask how large a batch may
  // be, so it is as large as they said.
  options.context.n_batch = std::max({1u, asked.n_batch, asked.n_seq_max});
  options.policy.interval += static_cast<int32_t>(options.context.n_batch);
  return shape_context(model, options);
}

std::vector<int32_t> distinct(const BatchNotes &notes, int32_t n_sequences) {
  std::vector<int32_t> sequences;
  for (const TokenNote &note : notes)
    if (note.sequence >= 0 && note.sequence < n_sequences) sequences.push_back(note.sequence);
  std::ranges::sort(sequences);
  const auto rest = std::ranges::unique(sequences);
  sequences.erase(rest.begin(), rest.end());
  return sequences;
}

template <typename Duration>
int64_t microseconds(Duration duration) {
  return std::chrono::duration_cast<std::chrono::microseconds>(duration).count();
}

std::string mib(double bytes) { return fmt::format("{:.1f} MiB", bytes / (1 << 20)); }

}  // namespace

void Guest::FreeContext::operator()(llama_context *context) const {
  const Aside aside;
  llama_free(context);
}

Guest::Guest(llama_model *model, const llama_context_params &asked, const Settings &settings,
             bool measured)
    : settings_(settings) {
  const Aside aside;
  n_ctx_ = asked.n_ctx != 0 ? asked.n_ctx : static_cast<uint32_t>(llama_model_n_ctx_train(model));
  n_ctx_seq_ = length_of_sequence(n_ctx_, asked);
  n_ctx_ = asked.kv_unified ? n_ctx_seq_ : n_ctx_seq_ * std::max(1u, asked.n_seq_max);
  make(model, asked, measured);
}

Guest::~Guest() = default;

void Guest::make(llama_model *model, const llama_context_params &asked, bool measured) {
  const ContextShape shape = shape_for(model, asked, settings_);
  llama_context_params params = shape.params;
  cells_ = shape.cells;
  const auto n_sequences = static_cast<int32_t>(params.n_seq_max);
  if (!measured) {
    watcher_.emplace(cells_, n_sequences);
    their_callback_ = asked.cb_eval;
    their_data_ = asked.cb_eval_user_data;
    params.cb_eval = their_callback_ != nullptr ? callback : Watcher::callback;
    params.cb_eval_user_data = their_callback_ != nullptr ? static_cast<void *>(this) : &*watcher_;
  }
  context_.reset(llama_init_from_model(model, params));
  if (context_ == nullptr)
    throw Error(fmt::format("llama.cpp could not make a context of {} cells for {} sequences",
                            cells_, n_sequences));
  if (measured) return;
  if (memory() == nullptr) throw Error("the model has no KV cache, so there is nothing to bound");
  if (static_cast<int32_t>(llama_n_ctx_seq(context())) != cells_)
    throw Error(fmt::format("llama.cpp made {} cells a sequence where {} were expected",
                            llama_n_ctx_seq(context()), cells_));
  if (const int32_t status = discover_layers(*watcher_, context()); status != 0)
    throw Error(fmt::format("llama_decode failed on the first token (status {})", status));
  // A callback of the program's must see every step.
  if (their_callback_ == nullptr)
    watcher_->sleep_by({context(), params.cb_eval, params.cb_eval_user_data});
  calibrate_layers(*watcher_, model, settings_.policy.policy, settings_.calibration);
  KeeperOptions kept{settings_.policy, settings_.pin_prompt, n_sequences, cells_};
  if (const int64_t table = watcher_->position_table(); table > 0) {
    kept.longest = table;
    n_ctx_seq_ = std::min(n_ctx_seq_, static_cast<uint32_t>(table));
  }
  // A recurrent state has moved on, whatever the recency window holds.
  rollback_ = llama_model_is_hybrid(model) ? llama_n_rs_seq(context())
                                           : static_cast<uint32_t>(settings_.policy.recency);
  keeper_.emplace(kept, std::make_unique<LlamaLabels>(context()), &*watcher_,
                  make_evictor(settings_.policy, watcher_->layers(), cells_, n_sequences,
                               llama_n_threads(context())));
  paces_.resize(static_cast<size_t>(n_sequences));
  replies_.resize(static_cast<size_t>(n_sequences));
  half_read_.resize(static_cast<size_t>(n_sequences));
  say_hello(params);
  number_ = counts().contexts++;
}

void Guest::say_hello(const llama_context_params &params) {
  for (const CacheLayer &layer : watcher_->layers()) {
    row_bytes_ += static_cast<double>(layer.keys.rows.row_stride);
    if (layer.values.tensor != layer.keys.tensor)
      row_bytes_ += static_cast<double>(layer.values.rows.row_stride);
  }
  const auto bytes = static_cast<double>(watcher_->cache_bytes());
  const double bounded = row_bytes_ * cells_ * params.n_seq_max;
  const double asked = bytes - bounded + row_bytes_ * n_ctx_;
  asked_bytes_ = static_cast<uint64_t>(asked);
  say(
      fmt::format("{} {} of up to {} tokens in {} rows each ({}; {} cells): KV cache {} instead "
                  "of {}",
                  params.n_seq_max, params.n_seq_max == 1 ? "sequence" : "sequences", n_ctx_seq_,
                  settings_.policy.budget, vase_policy_name(settings_.policy.policy), cells_,
                  mib(bytes), mib(asked)));
  const double batch = row_bytes_ * params.n_batch * params.n_seq_max;
  if (2 * batch > bounded)
    say(fmt::format("{} of it hold batches of {} tokens: with a smaller one (-b 512) it takes less",
                    mib(batch), params.n_batch));
}

bool Guest::callback(ggml_tensor *node, bool ask, void *guest) {
  auto *self = static_cast<Guest *>(guest);
  if (ask) {
    self->we_want_ = Watcher::callback(node, true, &*self->watcher_);
    self->they_want_ = self->their_callback_(node, true, self->their_data_);
    return self->we_want_ || self->they_want_;
  }
  if (self->we_want_) Watcher::callback(node, false, &*self->watcher_);
  return !self->they_want_ || self->their_callback_(node, false, self->their_data_);
}

bool Guest::is_there(llama_seq_id sequence) const {
  return keeper_ && sequence >= 0 && sequence < n_sequences();
}

int32_t Guest::decode(const BatchNotes &notes, const std::function<int32_t()> &run) {
  const Aside aside;
  if (!keeper_) return run();
  const std::lock_guard lock(mutex_);
  const auto start = std::chrono::steady_clock::now();
  const std::vector<int32_t> sequences = distinct(notes, n_sequences());
  std::vector<llama_seq_id> of_each;
  for (const TokenNote &note : notes) of_each.push_back(note.sequence);
  // llama.cpp refuses a batch with a sequence that is not there.
  if (!std::ranges::all_of(of_each, [&](llama_seq_id id) { return is_there(id); })) of_each.clear();
  int32_t status = kEvictionFailed;
  try {
    int64_t evictions = 0, moved = 0;
    const auto count = [&](int64_t sign) {
      for (const int32_t sequence : sequences) {
        evictions += sign * keeper_->ledger().evictions(sequence);
        moved += sign * keeper_->ledger().rows_moved(sequence);
      }
    };
    count(-1);
    keeper_->settle(sequences, When::kDue);
    count(1);
    count_since(evictions, moved, keeper_->eviction_seconds());
    keeper_->reset_eviction_seconds();

    for (const int32_t sequence : sequences)
      if (begins_turn(notes, sequence)) keeper_->begin_turn(sequence);
    keeper_->before_decode({.sequences = of_each, .passing = {}});
    status = run();
    llama_synchronize(context());
    keeper_->after_decode(status == 0);
    if (status == 0) check_positions(sequences);
  } catch (const Error &error) {
    say(error.what());
    return kEvictionFailed;
  }
  if (status == 0) {
    for (const int32_t sequence : sequences) {
      const bool reads =
          keeper_->ledger().prompts(sequence).newest_end == 0 || extends_prompt(notes, sequence);
      if (reads) {
        const int64_t tokens = keeper_->ledger().tokens(sequence);
        keeper_->set_prompt_end(sequence, tokens);
        replies_[static_cast<size_t>(sequence)].begin(tokens);
      } else {
        pin_opening_mark(notes, sequence);
      }
      half_read_[static_cast<size_t>(sequence)] =
          reads && std::ranges::none_of(notes, [&](const TokenNote &note) {
            return note.sequence == sequence && note.output;
          });
      paces_[static_cast<size_t>(sequence)].step(
          std::ranges::count(notes, sequence, &TokenNote::sequence), reads);
    }
    counts().tokens += static_cast<int64_t>(notes.size());
  }
  counts().decode_microseconds += microseconds(std::chrono::steady_clock::now() - start);
  return status;
}

// The last piece of a prompt is read for the logits of its last token alone. Tokens whose logits
// are all wanted were generated, or drafted; those of which none is wanted are a piece of a prompt,
// or, if they are few, drafts that another context has accepted. Where no logits were wanted of the
// prompt so far nothing can have been generated: a server cuts prompts where it puts a state aside.
bool Guest::extends_prompt(const BatchNotes &notes, int32_t sequence) const {
  size_t tokens = 0, outputs = 0;
  for (const TokenNote &note : notes) {
    if (note.sequence != sequence) continue;
    ++tokens;
    outputs += note.output ? 1 : 0;
  }
  return half_read_[static_cast<size_t>(sequence)] ||
         (outputs < tokens && (outputs > 0 || tokens > rollback()));
}

// A prompt behind an answer.
bool Guest::begins_turn(const BatchNotes &notes, int32_t sequence) const {
  return keeper_->ledger().prompts(sequence).newest_end > 0 &&
         !paces_[static_cast<size_t>(sequence)].reads() && extends_prompt(notes, sequence);
}

// As the generator does: the prompt ends behind the mark by which its reply opens a thought.
void Guest::pin_opening_mark(const BatchNotes &notes, int32_t sequence) {
  ReplyBeginning &reply = replies_[static_cast<size_t>(sequence)];
  int64_t position = keeper_->ledger().tokens(sequence) -
                     std::ranges::count(notes, sequence, &TokenNote::sequence);
  bool added = false;
  for (const TokenNote &note : notes)
    if (note.sequence == sequence) added = reply.add(position++, note.token) || added;
  if (!added) return;
  const llama_vocab *vocab = llama_model_get_vocab(llama_get_model(context()));
  const size_t mark = engine::tokens_of_opening_mark(vocab, reply.tokens());
  if (mark > 0) keeper_->set_prompt_end(sequence, reply.position() + static_cast<int64_t>(mark));
}

void Guest::count_since(int64_t evictions, int64_t rows_moved, double seconds) const {
  counts().evictions += evictions;
  counts().rows_moved += rows_moved;
  counts().eviction_microseconds += static_cast<int64_t>(seconds * 1e6);
}

// A token's label is its index in the sequence; a program that skips positions, or gives several
// tokens one (images under multimodal RoPE), cannot be served.
void Guest::check_positions(const std::vector<int32_t> &sequences) {
  for (const int32_t sequence : sequences) {
    const int64_t newest = llama_memory_seq_pos_max(memory(), sequence);
    const int64_t tokens = keeper_->ledger().tokens(sequence);
    if (newest + 1 == tokens) continue;
    keeper_->clear(sequence);
    throw Error(fmt::format(
        "sequence {} has {} tokens, but its newest position is {}: positions that skip or repeat "
        "(an image?) cannot be bounded, and the sequence was cleared",
        sequence, tokens, newest));
  }
}

bool Guest::seq_rm(llama_seq_id sequence, llama_pos first, llama_pos end) {
  const Aside aside;
  if (!keeper_) return true;
  const std::lock_guard lock(mutex_);
  try {
    const auto remove = [&](int32_t own) {
      if (refused_ && first > 0 && keeper_->ledger().tokens(own) == 0) return false;
      return keeper_->seq_rm(own, first, end);
    };
    if (sequence >= 0) return is_there(sequence) && remove(sequence);
    bool all = true;
    for (int32_t own = 0; own < n_sequences(); ++own) all = remove(own) && all;
    return all;
  } catch (const Error &error) {
    say(error.what());
    return false;
  }
}

bool Guest::seq_cp(llama_seq_id from, llama_seq_id to, llama_pos first, llama_pos end) {
  const Aside aside;
  if (!keeper_ || from == to) return true;
  if (!is_there(from) || !is_there(to)) return false;
  const std::lock_guard lock(mutex_);
  if (first > 0 || (end >= 0 && end < keeper_->ledger().tokens(from))) return false;
  try {
    keeper_->seq_cp(from, to);
    return true;
  } catch (const Error &error) {
    say(error.what());
    return false;
  }
}

void Guest::seq_keep(llama_seq_id sequence) {
  for (int32_t other = 0; other < n_sequences(); ++other)
    if (other != sequence) seq_rm(other, -1, -1);
}

void Guest::clear(bool data) {
  const Aside aside;
  const std::lock_guard lock(mutex_);
  if (keeper_) keeper_->clear_all(data);
  refused_ = false;
}

void Guest::refuse() {
  clear(false);
  const std::lock_guard lock(mutex_);
  refused_ = true;
}

llama_pos Guest::seq_pos_min(llama_seq_id sequence) const {
  const Aside aside;
  const llama_pos oldest = llama_memory_seq_pos_min(memory(), sequence);
  if (!is_there(sequence) || keeper_->ledger().tokens(sequence) == 0) return -1;
  // Rows of the oldest labels may be others' by now; those that are still their own count.
  if (keeper_->ledger().evictions(sequence) == 0) return oldest;
  return std::max(oldest, static_cast<llama_pos>(keeper_->ledger().first_own(sequence)));
}

size_t Guest::state_size(llama_seq_id sequence) const {
  const Aside aside;
  return is_there(sequence) ? snapshot_size(context(), *keeper_, sequence) : 0;
}

size_t Guest::state_get(llama_seq_id sequence, std::span<std::byte> bytes) const {
  const Aside aside;
  if (!is_there(sequence)) return 0;
  try {
    const size_t size = snapshot_size(context(), *keeper_, sequence);
    if (bytes.size() < size)
      throw Error(fmt::format("the state of sequence {} has {} bytes, and {} were given", sequence,
                              size, bytes.size()));
    take_snapshot(context(), *keeper_, sequence, bytes.first(size));
    return size;
  } catch (const Error &error) {
    say(error.what());
    return 0;
  }
}

size_t Guest::state_set(llama_seq_id sequence, std::span<const std::byte> bytes) {
  const Aside aside;
  if (!is_there(sequence)) return 0;
  const std::lock_guard lock(mutex_);
  try {
    const size_t size = snapshot_bytes(bytes);
    restore_snapshot(context(), *keeper_, sequence, bytes.first(size));
    return size;
  } catch (const Error &error) {
    say(error.what());
    return 0;
  }
}

GuestView Guest::view() const {
  const Aside aside;
  const std::lock_guard lock(mutex_);
  const llama_model *model = llama_get_model(context());
  std::array<char, 128> name{};
  if (llama_model_meta_val_str(model, "general.name", name.data(), name.size()) <= 0)
    llama_model_desc(model, name.data(), name.size());
  GuestView view{.number = number_,
                 .model = name.data(),
                 .layers = static_cast<int32_t>(keeper_->layers().size()),
                 .heads = keeper_->layers().front().n_heads,
                 .cells = cells_,
                 .row_bytes = row_bytes_,
                 .model_bytes = llama_model_size(model),
                 .cache_bytes = watcher_->cache_bytes(),
                 .asked_bytes = asked_bytes_,
                 .slots = {}};
  const Ledger &ledger = keeper_->ledger();
  for (int32_t sequence = 0; sequence < n_sequences(); ++sequence) {
    const Pace &pace = paces_[static_cast<size_t>(sequence)];
    view.slots.push_back(
        {.state = pace.state(),
         .tokens = ledger.tokens(sequence),
         .generated = ledger.tokens(sequence) -
                      std::min(ledger.tokens(sequence), ledger.prompts(sequence).newest_end),
         .rows = ledger.rows(sequence).rows(),
         .budget = settings_.policy.budget,
         .evictions = ledger.evictions(sequence),
         .tokens_per_second = pace.tokens_per_second(),
         .policy = vase_policy_name(settings_.policy.policy)});
  }
  return view;
}

observe::HeadView Guest::look_at(int32_t sequence, int32_t layer, int32_t head) const {
  const Aside aside;
  const std::lock_guard lock(mutex_);
  const std::span<const CacheLayer> layers = keeper_->layers();
  if (!is_there(sequence) || layer < 0 || layer >= std::ssize(layers) || head < 0 ||
      head >= layers[static_cast<size_t>(layer)].n_heads)
    throw Error(fmt::format("there is no slot {}, layer {}, head {}: of {} slots and {} layers",
                            sequence, layer, head, n_sequences(), layers.size()));
  return {.slot = sequence,
          .layer = layer,
          .head = head,
          .rows = keeper_->look_at(sequence, layer, head),
          .statistics = keeper_->ledger().statistics(sequence),
          .policy = keeper_->params(sequence)};
}

}  // namespace vase::interpose
