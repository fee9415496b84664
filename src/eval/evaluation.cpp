#include "eval/evaluation.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <iterator>
#include <utility>

#include "eval/cache_rows.hpp"
#include "eval/dialogue.hpp"
#include "eval/packing.hpp"
#include "eval/repetition.hpp"
#include "eval/selecting_context.hpp"

namespace vase::eval {
namespace {

using Clock = std::chrono::steady_clock;

// The jobs of a phase in parts of one length, each with long and short ones: as many as fill a
// context, at most one for each context. A step of few sequences takes hardly less time than one of
// many, so a phase that fits one context is not divided.
std::vector<Phase> deal(const Phase &phase, const EvaluationHost &host) {
  const auto parallel = static_cast<std::size_t>(host.parallel);
  const std::size_t count = std::min((phase.jobs.size() + parallel - 1) / parallel,
                                     static_cast<std::size_t>(host.contexts));
  std::vector<Phase> parts(count, Phase{.policy = phase.policy, .n_ctx = phase.n_ctx, .jobs = {}});
  for (std::size_t i = 0; i < phase.jobs.size(); ++i)
    parts[i % count].jobs.push_back(phase.jobs[i]);
  return parts;
}

}  // namespace

Evaluation::Evaluation(const engine::Model &model, engine::ChatTemplate chat_template,
                       const EvaluationPlan &plan, const EvaluationHost &host, GradingDesk &desk,
                       RunFile &file)
    : model_(model),
      chat_template_(std::move(chat_template)),
      plan_(plan),
      host_(host),
      desk_(desk),
      file_(file),
      start_(Clock::now()) {
  for (const Question &question : plan.questions) {
    Dialogue dialogue(model, chat_template_, host.system, question);
    std::int64_t tokens = 0;
    while (dialogue.more()) {
      tokens += std::ssize(dialogue.ask());
      dialogue.answered();
    }
    prompt_tokens_.push_back(tokens);
    opened_thoughts_.push_back(dialogue.opened_thought());
  }
  for (const Record &record : file.records()) recorded_tokens_ += record.tokens;
}

std::size_t Evaluation::index_of(const Question &question) const {
  return static_cast<std::size_t>(&question - plan_.questions.data());
}

std::set<std::string> Evaluation::done() const {
  std::set<std::string> keys;
  for (const Record &record : file_.records()) keys.insert(key_of(record));
  return keys;
}

std::int64_t Evaluation::longest_text() const {
  std::int64_t longest = 0;
  for (std::size_t i = 0; i < prompt_tokens_.size(); ++i) {
    const Question &question = plan_.questions[i];
    const std::int64_t limit =
        limit_of(question, plan_.asking_of(question.task), prompt_tokens_[i], model_.n_ctx_train());
    longest = std::max(longest, prompt_tokens_[i] + limit);
  }
  return longest;
}

bool Evaluation::run() {
  file_.begin();
  grade_the_ungraded();
  const std::int64_t n_ctx_train = model_.n_ctx_train();
  std::vector<Job> jobs = full_jobs(plan_, prompt_tokens_, n_ctx_train, done());
  MeanLengths lengths = plan_.lengths;
  if (lengths.empty()) {  // budgets wait for them
    more_ = std::ranges::any_of(plan_.variants, &Variant::has_budget);
    if (!run_phases(std::exchange(jobs, {}))) return false;
    more_ = false;
    lengths = mean_full_lengths(file_.records());
  }
  std::ranges::move(budget_jobs(plan_, lengths, prompt_tokens_, n_ctx_train, done()),
                    std::back_inserter(jobs));
  return run_phases(std::move(jobs));
}

bool Evaluation::run_phases(std::vector<Job> jobs) {
  total_ = file_.records().size() + jobs.size();
  std::vector<Phase> parts;
  for (const Phase &phase : phases_of(std::move(jobs)))
    std::ranges::move(deal(phase, host_), std::back_inserter(parts));
  return contexts_.run(parts.size(), host_.contexts, [&](std::size_t part, SideBySide::Lock &lock) {
    run_part(parts[part], lock);
  });
}

engine::Request Evaluation::request_for(const Job &job, const Question &turn) const {
  const Asking &asking = plan_.asking_of(job.question->task);
  engine::SamplingOptions sampling = asking.sampling;
  const std::string &id = job.question->turns.empty() ? job.question->id : turn.id;
  sampling.seed = stream_of(id, job.sample, plan_.seed);
  return {.sampling = sampling,
          .n_predict = job.question->turns.empty() ? job.limit : limit_of_turn(turn, asking),
          .text = false,
          .loop_guard = job.variant->loop_guard,
          .thinking = asking.thinking};
}

void Evaluation::run_part(const Phase &part, SideBySide::Lock &lock) {
  BoundedOptions options{
      .policy = part.policy,
      .n_sequences = std::min(host_.parallel, static_cast<std::int32_t>(part.jobs.size())),
      .context = host_.context};
  options.context.n_ctx = static_cast<std::uint32_t>(part.n_ctx);
  const Variant &first = *part.jobs.front().variant;
  SelectingContext made =
      make_selecting_context(host_.make_context, options, first.selection.has_value());
  BoundedContext &context = made.context;
  const double row = bytes_per_row(context);
  const std::string doing = first.evicts
                                ? fmt::format("caches of {} cells", context.cells_per_sequence())
                            : first.selection ? "full caches, read in part"
                                              : "full caches";
  const PhaseRun::DialogueOf dialogue_of = [this](const Job &job) {
    return Dialogue(model_, chat_template_, host_.system, *job.question);
  };
  const PhaseRun::RequestOf request_of = [this](const Job &job, const Question &turn) {
    return request_for(job, turn);
  };
  PhaseRun run(model_, context, made.selector.get(), part, dialogue_of, request_of,
               host_.prompt_chunk);
  while (run.busy() && !contexts_.stopped()) {
    const std::int32_t active = run.active();
    active_ += active;
    lock.unlock();
    std::vector<Record> records;
    for (const Answer &answer : run.step()) records.push_back(record_of(answer, row));
    lock.lock();
    tokens_ += active;  // nearly: a step that reads a prompt gives that sequence no token
    for (const Record &record : records) file_.hold(record);
    lock.unlock();
    for (Record &record : records) grade(record);  // may take long
    lock.lock();
    for (const Record &record : records) append(record);
    if (!report(doing)) contexts_.stop();
    active_ -= active;
  }
}

// Not graded yet, and with its replies whatever the host keeps.
Record Evaluation::record_of(const Answer &answer, double bytes_per_row) const {
  const Job &job = *answer.job;
  const Question &question = *job.question;
  Record record;
  record.task = question.task;
  record.tier = question.tier;
  record.id = question.id;
  record.policy = job.variant->label;
  record.budget = job.budget;
  record.cache_types = cache_types(host_.context);
  record.sample = job.sample;
  record.seed = plan_.seed;
  record.temperature = plan_.asking_of(question.task).sampling.temperature;
  record.params = job.params;
  record.selection = job.variant->selection;
  record.pin_prompt = job.variant->pin_prompt;
  record.prompt_tokens = answer.prompt_tokens;
  record.expected = question.expected;
  record.finish = "end";
  for (const Reply &reply : answer.replies) {
    record.replies.push_back({text_of(model_, reply.tokens), reply.ended});
    record.tokens += std::ssize(reply.tokens);
    if (!reply.ended) record.finish = "length";
    if (!reply.ended && !record.loop) record.loop = find_loop(reply.tokens);
  }
  record.evictions = answer.evictions;
  record.loop_alarms = answer.loop_alarms;
  record.peak_kv_bytes = std::llround(answer.most_rows * bytes_per_row);
  record.seconds = answer.seconds;
  record.share_seconds = answer.share_seconds;
  return record;
}

const Question *Evaluation::question_of(const Record &record) const {
  const auto asked = [&](const Question &q) { return q.id == record.id && q.task == record.task; };
  const auto question = std::ranges::find_if(plan_.questions, asked);
  return question == plan_.questions.end() ? nullptr : &*question;
}

// Each of what a turn asked, graded by itself. `record` has the items of the turns before.
std::vector<RecordedItem> Evaluation::grade(const Question &turn, const std::string &reply,
                                            const Record &record) {
  const auto item_of = [&](const Question &question, const std::string &text) {
    const Grade grade = desk_.grade(question, text);
    return RecordedItem{.id = question.id,
                        .kind = question.kind,
                        .expected = question.expected,
                        .answer = grade.answer,
                        .correct = grade.correct};
  };
  if (turn.repeats >= 0) {
    // The turns before are of one item each. What was never answered, or cut off before its end,
    // cannot be repeated.
    const auto before = static_cast<std::size_t>(turn.repeats);
    const std::optional<std::string> &said = record.items.at(before).answer;
    Question question = turn;
    question.expected = said.value_or("");
    RecordedItem item = item_of(question, reply);
    if (!said || !record.replies.at(before).ended) item.correct.reset();
    return {item};
  }
  if (turn.packed.empty()) return {item_of(turn, reply)};
  std::vector<RecordedItem> items;
  const std::vector<std::string> parts = parts_of(reply, turn.packed.size());
  for (std::size_t i = 0; i < parts.size(); ++i) items.push_back(item_of(turn.packed[i], parts[i]));
  return items;
}

void Evaluation::grade(Record &record) {
  const Question &question = *question_of(record);
  const std::string &opened_thought = opened_thoughts_[index_of(question)];
  const std::span<const Question> turns = turns_of(question);
  for (std::size_t i = 0; i < turns.size(); ++i) {
    // A turn that the cache had no room for has no reply.
    const std::string reply = i < record.replies.size() ? record.replies[i].text : "";
    std::ranges::move(grade(turns[i], opened_thought + reply, record),
                      std::back_inserter(record.items));
  }
  record.correct = std::ranges::all_of(
      record.items, [](const RecordedItem &item) { return item.correct.value_or(true); });
  if (question.turns.empty() && question.packed.empty()) {
    record.answer = std::move(record.items.at(0).answer);
    record.items.clear();
  }
  if (!host_.keep_text) record.replies.clear();
  for (std::size_t i = 0; i < record.replies.size(); ++i)
    record.replies[i].question = turns[i].text;
}

void Evaluation::append(const Record &record) {
  file_.append(record);
  recorded_tokens_ += record.tokens;
}

// What an earlier start wrote down and could not grade.
void Evaluation::grade_the_ungraded() {
  for (Record record : file_.ungraded()) {
    if (question_of(record) == nullptr) continue;  // of questions that are not asked now
    grade(record);
    append(record);
  }
}

bool Evaluation::report(const std::string &doing) {
  const std::size_t records = file_.records().size();
  EvaluationProgress progress{
      .done = records, .total = total_, .more = more_, .active = active_, .doing = doing};
  const double seconds = std::chrono::duration<double>(Clock::now() - start_).count();
  if (seconds > 0) progress.tokens_per_second = static_cast<double>(tokens_) / seconds;
  if (records > 0 && tokens_ > 0) {
    const double mean = static_cast<double>(recorded_tokens_) / static_cast<double>(records);
    progress.seconds_left =
        mean * static_cast<double>(total_ - records) / progress.tokens_per_second;
  }
  return host_.progress(progress);
}

}  // namespace vase::eval
