#include "engine/generator.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include "engine/logit_blocks.hpp"
#include "engine/shortlist.hpp"
#include "engine/thought_marks.hpp"

namespace vase::engine {
namespace {

double seconds(std::chrono::steady_clock::duration duration) {
  return std::chrono::duration<double>(duration).count();
}

// The logarithm of the softmax at `token` and at the `n` likeliest tokens.
std::vector<TokenLogprob> logprobs(std::span<const float> logits, llama_token token,
                                   std::int32_t n) {
  LogitBlocks blocks;
  blocks.read(logits);
  const float log_sum = blocks.max() + static_cast<float>(std::log(blocks.exp_sum()));
  std::vector<TokenLogprob> result = {{token, logits[static_cast<std::size_t>(token)] - log_sum}};
  if (n == 0) return result;
  std::vector<llama_token_data> likeliest;
  shortlist_top_k(blocks, n, likeliest);
  for (const llama_token_data &likely : likeliest) {
    result.push_back({likely.id, likely.logit - log_sum});
  }
  return result;
}

}  // namespace

Generator::Generator(const Model &model, BoundedContext &context, std::int32_t prompt_chunk,
                     std::int32_t n_threads)
    : model_(model),
      context_(context),
      prompt_chunk_(std::max(prompt_chunk, 1)),
      slots_(static_cast<std::size_t>(context.options().n_sequences)) {
  const std::int32_t useful = std::min(n_threads, context.options().n_sequences);
  if (useful > 1) pickers_ = std::make_unique<ThreadPool>(useful);
}

Generator::Slot &Generator::slot(std::int32_t sequence) {
  return slots_.at(static_cast<std::size_t>(sequence));
}

const Generator::Slot &Generator::slot(std::int32_t sequence) const {
  return slots_.at(static_cast<std::size_t>(sequence));
}

void Generator::start(std::int32_t sequence, Request request) {
  Slot &s = slot(sequence);
  if (s.busy) throw Error("the sequence is busy");
  if (s.n_unread + request.prompt.size() == 0) throw Error("the prompt is empty");
  const std::int64_t length = std::ssize(s.tokens) + std::ssize(request.prompt);
  if (length > context_.longest_text()) {
    throw Error("with this prompt the text has " + std::to_string(length) +
                " tokens, and the model has learned " + std::to_string(context_.longest_text()) +
                " positions and knows none beyond");
  }
  if (request.loop_guard) s.guard.emplace(context_.params(sequence));
  s.prompt_begin = s.tokens.size();
  s.tokens.insert(s.tokens.end(), request.prompt.begin(), request.prompt.end());
  s.n_unread += request.prompt.size();
  s.prompt_end = s.tokens.size();
  s.boundaries = std::move(request.boundaries);
  for (std::size_t &boundary : s.boundaries) boundary += s.prompt_begin;
  s.busy = true;
  s.in_prompt = true;
  s.pins = request.pins;
  if (s.pins) {
    if (!request.prompts) {
      if (s.prompt_begin > 0) context_.begin_turn(sequence);
      request.prompts = context_.prompts(sequence);
    }
    request.prompts->newest_end = static_cast<std::int64_t>(s.prompt_end);
    context_.set_prompts(sequence, *request.prompts);
  }
  s.n_predict = request.n_predict;
  s.n_logprobs = request.n_logprobs;
  s.text = request.text;
  s.shown = std::move(request.shown);
  s.sampler.emplace(model_.vocab(), request.sampling);
  s.utf8 = {};
  s.stop = StopStrings(std::move(request.stop));
  s.thinking.reset();
  if (request.thinking.budget >= 0) {
    s.thinking.emplace(model_, std::move(request.thinking), std::span(s.tokens));
  }
  s.statistics = {.prompt_tokens = static_cast<std::int64_t>(s.n_unread)};
  s.started = Clock::now();
}

std::string Generator::cancel(std::int32_t sequence) {
  Slot &s = slot(sequence);
  if (!s.busy) return {};
  s.busy = false;
  s.rereads = false;
  s.guard.reset();
  std::string held = s.stop.push(s.utf8.finish());
  return held + s.stop.finish();
}

PromptRead Generator::drop_unread_prompt(std::int32_t sequence) {
  Slot &s = slot(sequence);
  if (s.busy) throw Error("the sequence is busy");
  const std::size_t read = s.tokens.size() - s.n_unread;
  // Behind the prompt an unread token is the answer's last one, or a text that is read again.
  if (s.tokens.size() > s.prompt_end || s.n_unread == 0) return PromptRead::all;
  const bool any = read > s.prompt_begin;
  s.tokens.resize(std::max(read, s.prompt_begin));
  s.n_unread = s.tokens.size() - read;
  s.prompt_end = s.tokens.size();
  Prompts prompts = context_.prompts(sequence);
  const auto kept = static_cast<std::int64_t>(read);
  context_.set_prompts(sequence,
                       {std::min(prompts.first_end, kept), std::min(prompts.newest_begin, kept),
                        std::min(prompts.newest_end, kept)});
  return any ? PromptRead::part : PromptRead::none;
}

void Generator::take_over(std::int32_t sequence, std::vector<llama_token> tokens) {
  Slot &s = slot(sequence);
  if (s.busy) throw Error("the sequence is busy");
  s = {};
  s.tokens = std::move(tokens);
}

void Generator::clear(std::int32_t sequence) {
  const std::optional<OwnParams> own = slot(sequence).own_params;
  slot(sequence) = {};
  context_.clear(sequence);
  if (own) context_.set_params(sequence, own->params, own->pin_prompt);
}

bool Generator::busy() const {
  return std::any_of(slots_.begin(), slots_.end(), [](const Slot &s) { return s.busy; });
}

bool Generator::busy(std::int32_t sequence) const { return slot(sequence).busy; }

const GenerationStatistics &Generator::statistics(std::int32_t sequence) const {
  return slot(sequence).statistics;
}

std::int64_t Generator::evictions(std::int32_t sequence) const {
  return slot(sequence).evictions_undone + context_.statistics(sequence).evictions;
}

std::span<const llama_token> Generator::tokens(std::int32_t sequence) const {
  return slot(sequence).tokens;
}

std::span<const llama_token> Generator::read_tokens(std::int32_t sequence) const {
  const Slot &s = slot(sequence);
  if (s.own_params) return {};
  return std::span(s.tokens).first(s.tokens.size() - s.n_unread);
}

std::span<const Event> Generator::step() {
  events_.clear();
  at_boundary_.clear();
  const std::vector<SequenceInput> batch = plan_batch();
  if (batch.empty()) return events_;
  context_.decode(batch);
  const Clock::time_point now = Clock::now();
  ready_.clear();
  for (const SequenceInput &input : batch) after_decode(input.sequence, now);
  pick_tokens();
  for (const std::int32_t sequence : ready_) emit(sequence, now);
  return events_;
}

// One token of every sequence that generates, and pieces of what the others read. Those with the
// least left to read come first, so that what they leave of their share goes to the others.
std::vector<SequenceInput> Generator::plan_batch() {
  std::vector<SequenceInput> batch;
  std::vector<std::int32_t> readers;
  for (std::int32_t sequence = 0; sequence < std::ssize(slots_); ++sequence) {
    if (!slot(sequence).busy) continue;
    if (slot(sequence).in_prompt || slot(sequence).rereads) {
      readers.push_back(sequence);
    } else {
      add_input(sequence, 1, batch);
    }
  }
  std::ranges::stable_sort(readers, {}, [&](std::int32_t r) { return slot(r).n_unread; });
  std::int32_t left = prompt_chunk_;
  auto waiting = static_cast<std::int32_t>(readers.size());
  for (const std::int32_t sequence : readers) {
    const std::int32_t share = std::max(left / waiting--, 1);
    if (left > 0 && add_input(sequence, share, batch)) {
      left -= static_cast<std::int32_t>(slot(sequence).n_read);
    }
  }
  return batch;
}

// Puts the next tokens of a sequence into the batch, at most `share`, and no more than its room, so
// that decode() makes one batch of it all. Returns false if the cache is full, which ends it.
bool Generator::add_input(std::int32_t sequence, std::int32_t share,
                          std::vector<SequenceInput> &batch) {
  Slot &s = slot(sequence);
  const bool fill = s.in_prompt || s.rereads;
  const std::size_t done = s.tokens.size() - s.n_unread;
  std::size_t end = s.tokens.size();
  if (!s.boundaries.empty()) end = std::min(end, s.boundaries.front());
  const auto unread = static_cast<std::int32_t>(end - done);
  const std::int32_t room = fill ? context_.prompt_room(sequence) : context_.room(sequence);
  if (room <= 0) {
    const bool at_end = context_.statistics(sequence).tokens >= context_.longest_text();
    finish(sequence, at_end ? Finish::no_positions : Finish::cache_full,
           events_.emplace_back(Event{.sequence = sequence}));
    return false;
  }
  s.n_read = static_cast<std::size_t>(std::min({unread, share, room}));
  const auto tokens = std::span<const llama_token>(s.tokens).subspan(done, s.n_read);
  batch.push_back({.sequence = sequence, .tokens = tokens, .fill = fill});
  return true;
}

bool Generator::reading_prompt(std::int32_t sequence) const {
  return slot(sequence).busy && slot(sequence).in_prompt;
}

bool Generator::rereading(std::int32_t sequence) const { return slot(sequence).rereads; }

void Generator::after_decode(std::int32_t sequence, Clock::time_point now) {
  Slot &s = slot(sequence);
  s.n_unread -= s.n_read;
  if (s.in_prompt) {
    s.statistics.prompt_done += static_cast<std::int64_t>(s.n_read);
    s.statistics.prompt_seconds = seconds(now - s.started);
  }
  if (!s.boundaries.empty() && s.boundaries.front() == s.tokens.size() - s.n_unread) {
    s.boundaries.erase(s.boundaries.begin());
    at_boundary_.push_back(sequence);
  }
  if (s.n_unread > 0) return;
  s.rereads = false;
  ready_.push_back(sequence);
}

void Generator::pick_tokens() {
  const auto n_vocab = static_cast<std::size_t>(llama_vocab_n_tokens(model_.vocab()));
  std::vector<const float *> logits;  // asked for one by one: llama.cpp may reorder them at first
  for (const std::int32_t sequence : ready_) logits.push_back(context_.logits(sequence));
  const auto pick = [&](int index, int) {
    const auto i = static_cast<std::size_t>(index);
    Slot &s = slot(ready_[i]);
    if (s.n_predict == 0) return;
    const std::optional<llama_token> due = s.thinking ? s.thinking->due() : std::nullopt;
    s.picked = due ? *due : s.sampler->sample({logits[i], n_vocab});
  };
  const auto count = static_cast<int>(ready_.size());
  if (pickers_) {
    pickers_->parallel_for(count, pick);
  } else {
    for (int i = 0; i < count; ++i) pick(i, 0);
  }
}

void Generator::emit(std::int32_t sequence, Clock::time_point now) {
  Slot &s = slot(sequence);
  Event &event = events_.emplace_back(Event{.sequence = sequence});
  if (s.n_predict == 0) return finish(sequence, Finish::length, event);

  event.token = s.picked;
  if (s.n_logprobs >= 0) {
    const std::span<const float> logits(
        context_.logits(sequence), static_cast<std::size_t>(llama_vocab_n_tokens(model_.vocab())));
    event.logprobs = logprobs(logits, event.token, s.n_logprobs);
  }
  if (std::exchange(s.in_prompt, false)) s.first_token = now;
  s.statistics.generate_seconds = seconds(now - s.first_token);
  // The end-of-text token is not read: a conversation that goes on writes its own closing.
  if (model_.is_eog(event.token)) return finish(sequence, Finish::end_of_text, event);

  s.tokens.push_back(event.token);
  s.n_unread = 1;
  ++s.statistics.generated;
  const bool was_due = s.thinking && s.thinking->due();
  if (s.thinking) {
    s.thinking->push(event.token);
    s.statistics.thoughts_cut = s.thinking->cuts();
  }
  if (s.pins) pin_opening_mark(sequence);
  if (s.text) {
    const bool shown = std::ranges::find(s.shown, event.token) != s.shown.end();
    event.text = s.stop.push(s.utf8.push(model_.piece(event.token, shown)));
  }
  if (s.stop.matched()) return finish(sequence, Finish::stop_string, event);
  if (s.statistics.generated == s.n_predict) return finish(sequence, Finish::length, event);
  // What the budget writes is no sign of a loop.
  const std::int64_t to_forget = s.guard && !was_due ? s.guard->push(event.token) : 0;
  if (to_forget > 0) go_back(sequence, to_forget);
}

// The prompt ends behind the mark by which its answer opens a thought.
void Generator::pin_opening_mark(std::int32_t sequence) {
  const Slot &s = slot(sequence);
  const auto answer = std::span<const llama_token>(s.tokens).subspan(s.prompt_end);
  if (answer.size() > kTokensOfMark) return;
  Prompts prompts = context_.prompts(sequence);
  prompts.newest_end =
      static_cast<std::int64_t>(s.prompt_end + tokens_of_opening_mark(model_.vocab(), answer));
  context_.set_prompts(sequence, prompts);
}

// Takes the newest tokens out of the sequence, not beyond its prompt, and lets it read the others
// again with what the guard says.
void Generator::go_back(std::int32_t sequence, std::int64_t n_tokens) {
  Slot &s = slot(sequence);
  const vase_params params = s.guard->params();
  const OwnParams before{context_.params(sequence), context_.pin_prompt(sequence)};
  const bool changes = params.policy != before.params.policy;
  const float wanted = changes ? vase_policy_default_pin(params.policy) : 0.0f;
  if (!s.own_params) s.own_params = before;
  s.statistics.loop_alarms = s.guard->alarms();
  s.evictions_undone += context_.statistics(sequence).evictions;
  const Prompts prompts = context_.prompts(sequence);
  context_.clear(sequence);
  context_.set_prompts(sequence, prompts);
  context_.set_params(sequence, params, std::max(before.pin_prompt, wanted));
  const std::size_t answer = s.tokens.size() - s.prompt_end;
  s.tokens.resize(s.tokens.size() - std::min(static_cast<std::size_t>(n_tokens), answer));
  if (s.thinking) {
    s.thinking->go_back(std::span<const llama_token>(s.tokens).subspan(s.prompt_end));
    s.statistics.thoughts_cut = s.thinking->cuts();
  }
  s.n_unread = s.tokens.size();
  s.rereads = true;
}

void Generator::finish(std::int32_t sequence, Finish reason, Event &event) {
  event.finish = reason;
  event.text += cancel(sequence);
}

}  // namespace vase::engine
