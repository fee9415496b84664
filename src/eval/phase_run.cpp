#include "eval/phase_run.hpp"

#include <algorithm>
#include <span>
#include <utility>

namespace vase::eval {
namespace {

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace

PhaseRun::PhaseRun(const engine::Model &model, BoundedContext &context, Selector *selector,
                   const Phase &phase, const DialogueOf &dialogue_of, const RequestOf &request_of,
                   std::int32_t prompt_chunk)
    : context_(context),
      selector_(selector),
      phase_(phase),
      dialogue_of_(dialogue_of),
      request_of_(request_of),
      generator_(model, context, prompt_chunk, context.options().context.n_threads),
      slots_(static_cast<std::size_t>(context.options().n_sequences)),
      next_(phase.jobs.begin()) {
  for (std::int32_t sequence = 0; sequence < std::ssize(slots_); ++sequence) start_next(sequence);
}

void PhaseRun::start_next(std::int32_t sequence) {
  Slot &slot = slots_[static_cast<std::size_t>(sequence)];
  slot = {};
  generator_.clear(sequence);
  if (next_ == phase_.jobs.end()) return;
  const Job &job = *next_++;
  slot.answer.job = &job;
  slot.started = Clock::now();
  if (job.variant->evicts) context_.set_params(sequence, job.params, job.variant->pin_prompt);
  if (const std::optional<Selection> &selection = job.variant->selection; selection)
    selector_->select(sequence, SelectionParams{*selection, job.params.budget});
  context_.set_draw_stream(sequence, stream_of(job.question->id, job.sample, 0));
  slot.dialogue.emplace(dialogue_of_(job));
  ask(sequence);
  ++active_;
}

void PhaseRun::ask(std::int32_t sequence) {
  Slot &slot = slots_[static_cast<std::size_t>(sequence)];
  const Question &turn = slot.dialogue->turn();
  engine::Request request = request_of_(*slot.answer.job, turn);
  request.prompt = slot.dialogue->ask();
  request.pins = slot.answer.replies.empty() || !slot.answer.job->variant->pins_first_alone;
  slot.answer.prompt_tokens += std::ssize(request.prompt);
  slot.answer.replies.push_back({.turn = &turn});
  generator_.start(sequence, std::move(request));
  if (selector_ != nullptr)
    selector_->set_prompt_end(sequence, std::ssize(generator_.tokens(sequence)));
}

std::vector<Answer> PhaseRun::step() {
  const Clock::time_point before = Clock::now();
  const std::span<const engine::Event> events = generator_.step();
  if (selector_ != nullptr) selector_->check();
  const double share = seconds_since(before) / active_;
  for (std::int32_t sequence = 0; sequence < std::ssize(slots_); ++sequence) count(sequence, share);

  std::vector<Answer> finished;
  for (const engine::Event &event : events) {
    Slot &slot = slots_[static_cast<std::size_t>(event.sequence)];
    Reply &reply = slot.answer.replies.back();
    const bool full = engine::is_out_of_room(event.finish);
    reply.ended = event.finish == engine::Finish::end_of_text;
    if (!reply.ended && !full) reply.tokens.push_back(event.token);
    if (event.finish == engine::Finish::none) continue;
    slot.answer.evictions = generator_.evictions(event.sequence);
    slot.answer.loop_alarms += generator_.statistics(event.sequence).loop_alarms;
    if (slot.dialogue->more() && !full) {
      slot.dialogue->answered();
      ask(event.sequence);
      continue;
    }
    finished.push_back(finish(event.sequence));
    start_next(event.sequence);
  }
  return finished;
}

void PhaseRun::count(std::int32_t sequence, double seconds) {
  Answer &answer = slots_[static_cast<std::size_t>(sequence)].answer;
  if (answer.job == nullptr) return;
  answer.share_seconds += seconds;
  answer.most_rows = std::max(answer.most_rows, context_.statistics(sequence).rows);
}

Answer PhaseRun::finish(std::int32_t sequence) {
  Slot &slot = slots_[static_cast<std::size_t>(sequence)];
  slot.answer.seconds = seconds_since(slot.started);
  --active_;
  return std::move(slot.answer);
}

}  // namespace vase::eval
