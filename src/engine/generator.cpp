#include "engine/generator.hpp"

#include <algorithm>
#include <utility>

namespace vase::engine {
namespace {

double seconds(std::chrono::steady_clock::duration duration) {
  return std::chrono::duration<double>(duration).count();
}

}  // namespace

Generator::Generator(const Model &model, BoundedContext &context, std::int32_t prompt_chunk)
    : model_(model),
      context_(context),
      prompt_chunk_(std::max(prompt_chunk, 1)),
      slots_(static_cast<std::size_t>(context.options().n_sequences)) {}

Generator::Slot &Generator::slot(std::int32_t sequence) {
  return slots_.at(static_cast<std::size_t>(sequence));
}

const Generator::Slot &Generator::slot(std::int32_t sequence) const {
  return slots_.at(static_cast<std::size_t>(sequence));
}

void Generator::start(std::int32_t sequence, Request request) {
  Slot &s = slot(sequence);
  if (s.busy) throw Error("the sequence is busy");
  s.unread.insert(s.unread.end(), request.prompt.begin(), request.prompt.end());
  if (s.unread.empty()) throw Error("the prompt is empty");
  s.busy = true;
  s.in_prompt = true;
  s.n_predict = request.n_predict;
  s.sampler.emplace(model_.vocab(), request.sampling);
  s.utf8 = {};
  s.stop = StopStrings(std::move(request.stop));
  s.statistics = {.prompt_tokens = static_cast<std::int64_t>(s.unread.size())};
  s.started = Clock::now();
}

std::string Generator::cancel(std::int32_t sequence) {
  Slot &s = slot(sequence);
  if (!s.busy) return {};
  s.busy = false;
  std::string held = s.stop.push(s.utf8.finish());
  return held + s.stop.finish();
}

void Generator::clear(std::int32_t sequence) {
  slot(sequence) = {};
  context_.clear(sequence);
}

bool Generator::busy() const {
  return std::any_of(slots_.begin(), slots_.end(), [](const Slot &s) { return s.busy; });
}

bool Generator::busy(std::int32_t sequence) const { return slot(sequence).busy; }

const GenerationStatistics &Generator::statistics(std::int32_t sequence) const {
  return slot(sequence).statistics;
}

std::span<const Event> Generator::step() {
  events_.clear();
  const std::vector<SequenceInput> batch = plan_batch();
  if (batch.empty()) return events_;
  context_.decode(batch);
  const Clock::time_point now = Clock::now();
  for (const SequenceInput &input : batch) after_decode(input.sequence, now);
  return events_;
}

// One token of every sequence that generates, and pieces of the prompts of the others. A piece is
// no longer than the room of its sequence, so that decode() makes one batch of it all.
std::vector<SequenceInput> Generator::plan_batch() {
  std::vector<SequenceInput> batch;
  std::int32_t prompt_left = prompt_chunk_;
  for (std::int32_t sequence = 0; sequence < std::ssize(slots_); ++sequence) {
    Slot &s = slot(sequence);
    if (!s.busy) continue;
    const std::int32_t room = context_.room(sequence);
    if (room <= 0) {
      finish(sequence, Finish::cache_full, events_.emplace_back(Event{.sequence = sequence}));
      continue;
    }
    const auto unread = static_cast<std::int32_t>(s.unread.size());
    const std::int32_t n = s.in_prompt ? std::min({unread, room, prompt_left}) : 1;
    if (s.in_prompt) prompt_left -= n;
    if (n == 0) continue;
    s.n_read = static_cast<std::size_t>(n);
    batch.push_back({.sequence = sequence, .tokens = std::span(s.unread).first(s.n_read)});
  }
  return batch;
}

void Generator::after_decode(std::int32_t sequence, Clock::time_point now) {
  Slot &s = slot(sequence);
  s.unread.erase(s.unread.begin(), s.unread.begin() + static_cast<std::ptrdiff_t>(s.n_read));
  if (s.in_prompt) {
    s.statistics.prompt_done += static_cast<std::int64_t>(s.n_read);
    s.statistics.prompt_seconds = seconds(now - s.started);
    context_.set_prompt_end(sequence);  // what was read of the prompt can be pinned from here on
  }
  if (s.unread.empty()) sample(sequence, now);
}

void Generator::sample(std::int32_t sequence, Clock::time_point now) {
  Slot &s = slot(sequence);
  Event &event = events_.emplace_back(Event{.sequence = sequence});
  if (s.n_predict == 0) return finish(sequence, Finish::length, event);

  event.token = s.sampler->sample(context_.get(), context_.logits_index(sequence));
  if (std::exchange(s.in_prompt, false)) s.first_token = now;
  s.statistics.generate_seconds = seconds(now - s.first_token);
  // The end-of-text token is not read: a conversation that goes on writes its own closing.
  if (model_.is_eog(event.token)) return finish(sequence, Finish::end_of_text, event);

  s.unread.push_back(event.token);
  ++s.statistics.generated;
  event.text = s.stop.push(s.utf8.push(model_.piece(event.token)));
  if (s.stop.matched()) return finish(sequence, Finish::stop_string, event);
  if (s.statistics.generated == s.n_predict) finish(sequence, Finish::length, event);
}

void Generator::finish(std::int32_t sequence, Finish reason, Event &event) {
  event.finish = reason;
  event.text += cancel(sequence);
}

}  // namespace vase::engine
