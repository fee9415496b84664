#include "recall/reading.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "tasks/random.hpp"

namespace vase::recall {
namespace {

std::vector<const Item *> turned_round(std::vector<const Item *> items) {
  std::ranges::reverse(items);
  return items;
}

// A stream of draws depends on what is read or asked alone, not on the sequence.
std::uint32_t stream_of(const Text &text, const std::string &item, std::uint64_t seed) {
  const std::string name = fmt::format("{}/{}/{}/{}", seed, text.length, text.index, item);
  return static_cast<std::uint32_t>(tasks::hash_text(name)) & 0x7fffffffU;
}

}  // namespace

Reading::Reading(const engine::Model &model, const Prompt &prompt, BoundedContext &context,
                 const std::vector<Task> &tasks, const ReadingOptions &options)
    : prompt_(prompt),
      context_(context),
      options_(options),
      generator_(model, context, options.prompt_chunk, context.options().context.n_threads),
      next_(tasks.begin()),
      end_(tasks.end()),
      readers_(static_cast<std::size_t>(options.readers)),
      answers_(static_cast<std::size_t>(context.options().n_sequences - options.readers)) {
  for (std::int32_t sequence = 0; sequence < readers(); ++sequence) next_task(sequence);
}

bool Reading::busy() const {
  return std::ranges::any_of(readers_, [](const Reader &r) { return r.stage != Stage::idle; }) ||
         std::ranges::any_of(answers_, [](const Answer &a) { return a.item != nullptr; });
}

void Reading::read(std::int32_t sequence, std::span<const llama_token> tokens, bool pins) {
  generator_.start(
      sequence,
      {.prompt = {tokens.begin(), tokens.end()}, .n_predict = 0, .text = false, .pins = pins});
}

void Reading::next_task(std::int32_t sequence) {
  Reader &reader = readers_[static_cast<std::size_t>(sequence)];
  reader = {};
  if (next_ == end_) return;
  reader.task = &*next_++;
  reader.stage = Stage::opening;
  const Text &text = *reader.task->text;
  generator_.clear(sequence);
  context_.set_draw_stream(sequence, stream_of(text, "", options_.seed));
  read(sequence, std::span(text.tokens).first(text.opening), true);
}

// What a reader was given is read.
void Reading::go_on(std::int32_t sequence) {
  Reader &reader = readers_[static_cast<std::size_t>(sequence)];
  const Text &text = *reader.task->text;
  if (reader.stage == Stage::opening) {
    reader.stage = Stage::text;
    read(sequence, std::span(text.tokens).subspan(text.opening), false);
    return;
  }
  reader.to_ask =
      turned_round(reader.stage == Stage::text ? reader.task->at_once : reader.task->later);
}

// False if all sequences that answer are busy.
bool Reading::ask(std::int32_t sequence) {
  const auto free = std::ranges::find(answers_, nullptr, &Answer::item);
  if (free == answers_.end()) return false;
  Reader &reader = readers_[static_cast<std::size_t>(sequence)];
  *free = {.text = reader.task->text,
           .item = reader.to_ask.back(),
           .later = reader.stage == Stage::after};
  reader.to_ask.pop_back();
  const auto to = readers() + static_cast<std::int32_t>(free - answers_.begin());
  context_.copy(sequence, to);
  context_.set_draw_stream(to, stream_of(*free->text, free->item->id, options_.seed));
  const std::span<const llama_token> tokens = generator_.tokens(sequence);
  generator_.take_over(to, {tokens.begin(), tokens.end()});
  generator_.start(to, {.prompt = prompt_.question(free->item->question),
                        .sampling = {.temperature = 0.0f},
                        .n_predict = options_.n_predict,
                        .stop = prompt_.stop(),
                        .pins = false});
  return true;
}

void Reading::ask_all() {
  for (std::int32_t sequence = 0; sequence < readers(); ++sequence) {
    Reader &reader = readers_[static_cast<std::size_t>(sequence)];
    if (reader.stage == Stage::idle || generator_.busy(sequence)) continue;
    while (!reader.to_ask.empty() && ask(sequence)) {
    }
    if (!reader.to_ask.empty()) continue;
    if (reader.stage == Stage::text && !reader.task->later.empty()) {
      reader.stage = Stage::after;
      read(sequence, reader.task->text->after, false);
    } else {
      next_task(sequence);
    }
  }
}

std::vector<Answer> Reading::step() {
  const auto events = generator_.step();
  std::vector<Answer> finished;
  for (const engine::Event &event : events) {
    const bool ended = event.finish != engine::Finish::none;
    if (event.sequence < readers()) {
      if (engine::is_out_of_room(event.finish))
        throw Error("the cache has no room for the whole text");
      if (ended) go_on(event.sequence);
      continue;
    }
    Answer &answer = answers_[static_cast<std::size_t>(event.sequence - readers())];
    answer.said += event.text;
    if (ended) finished.push_back(std::exchange(answer, {}));
  }
  ask_all();
  return finished;
}

}  // namespace vase::recall
