#include "eval/evaluation.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <iterator>
#include <thread>
#include <utility>

#include "engine/utf8.hpp"
#include "eval/cache_rows.hpp"
#include "eval/repetition.hpp"
#include "eval/thought.hpp"

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

// Control tokens are no text, but for those that begin or end a thought.
std::string text_of(const engine::Model &model, const std::vector<llama_token> &tokens) {
  engine::Utf8Assembler utf8;
  std::string text;
  for (const llama_token token : tokens) {
    std::string piece = model.piece(token);
    if (piece.empty()) {
      piece = model.piece(token, true);
      if (!is_thought_mark(piece)) continue;
    }
    text += utf8.push(piece);
  }
  return text + utf8.finish();
}

}  // namespace

Evaluation::Evaluation(const engine::Model &model, const engine::ChatTemplate &chat_template,
                       const EvaluationPlan &plan, const EvaluationHost &host, GradingDesk &desk,
                       RunFile &file)
    : model_(model), plan_(plan), host_(host), desk_(desk), file_(file), start_(Clock::now()) {
  for (const Question &question : plan.questions) {
    engine::Conversation conversation(chat_template, host.system);
    const std::string text = conversation.ask(question.text);
    prompts_.push_back(model.tokenize(text));
    opened_thoughts_.emplace_back(thought_opened_by(text));
    prompt_tokens_.push_back(std::ssize(prompts_.back()));
  }
  for (const Record &record : file.records()) recorded_tokens_ += record.tokens;
}

std::size_t Evaluation::index_of(const Question &question) const {
  return static_cast<std::size_t>(&question - plan_.questions.data());
}

const std::vector<llama_token> &Evaluation::prompt_of(const Question &question) const {
  return prompts_[index_of(question)];
}

std::set<std::string> Evaluation::done() const {
  std::set<std::string> keys;
  for (const Record &record : file_.records()) keys.insert(key_of(record));
  return keys;
}

bool Evaluation::run() {
  const std::int64_t n_ctx_train = model_.n_ctx_train();
  std::vector<Job> jobs = full_jobs(plan_, prompt_tokens_, n_ctx_train, done());
  MeanLengths lengths = plan_.lengths;
  if (lengths.empty()) {  // budgets wait for them
    more_ = std::ranges::any_of(plan_.variants, &Variant::evicts);
    if (!run_phases(std::exchange(jobs, {}))) return false;
    more_ = false;
    lengths = mean_full_lengths(file_.records());
  }
  std::ranges::move(evicting_jobs(plan_, lengths, prompt_tokens_, n_ctx_train, done()),
                    std::back_inserter(jobs));
  return run_phases(std::move(jobs));
}

// A context that is done takes the next part, of whatever phase: those that wait for the last, long
// answers of their part do not keep the others from working.
bool Evaluation::run_phases(std::vector<Job> jobs) {
  total_ = file_.records().size() + jobs.size();
  std::vector<Phase> parts;
  for (const Phase &phase : phases_of(std::move(jobs)))
    std::ranges::move(deal(phase, host_), std::back_inserter(parts));
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < host_.contexts; ++i) threads.emplace_back([&] { run_parts(parts); });
  }
  if (error_) std::rethrow_exception(error_);
  return !stopped_;
}

void Evaluation::run_parts(std::vector<Phase> &parts) {
  for (;;) {
    Phase part;
    {
      const std::lock_guard lock(mutex_);
      if (parts.empty() || stopped_) return;
      part = std::move(parts.front());
      parts.erase(parts.begin());
    }
    run_part(part);
  }
}

engine::Request Evaluation::request_for(const Job &job) const {
  engine::SamplingOptions sampling = plan_.asking_of(job.question->task).sampling;
  sampling.seed = stream_of(job.question->id, job.sample, plan_.seed);
  return {.prompt = prompt_of(*job.question),
          .sampling = sampling,
          .n_predict = job.limit,
          .text = false,
          .loop_guard = job.variant->loop_guard};
}

// In a thread of its own: nothing is thrown.
void Evaluation::run_part(const Phase &part) {
  std::unique_lock lock(mutex_);
  try {
    BoundedOptions options{
        .policy = part.policy,
        .n_sequences = std::min(host_.parallel, static_cast<std::int32_t>(part.jobs.size())),
        .context = host_.context};
    options.context.n_ctx = static_cast<std::uint32_t>(part.n_ctx);
    BoundedContext context = host_.make_context(options);
    const double row = bytes_per_row(context);
    const std::string doing = part.jobs.front().variant->evicts
                                  ? fmt::format("caches of {} cells", context.cells_per_sequence())
                                  : "full caches";
    const PhaseRun::RequestOf request_of = [this](const Job &job) { return request_for(job); };
    PhaseRun run(model_, context, part, request_of, host_.prompt_chunk);
    while (run.busy() && !stopped_) {
      const std::int32_t active = run.active();
      active_ += active;
      lock.unlock();
      const std::vector<Answer> answers = run.step();
      lock.lock();
      tokens_ += active;  // nearly: a step that reads a prompt gives that sequence no token
      for (const Answer &answer : answers) record(answer, row);
      if (!report(doing)) stopped_ = true;
      active_ -= active;
    }
  } catch (...) {
    if (!lock.owns_lock()) lock.lock();
    if (!error_) error_ = std::current_exception();
    stopped_ = true;
  }
}

void Evaluation::record(const Answer &answer, double bytes_per_row) {
  const Job &job = *answer.job;
  const Question &question = *job.question;
  std::string text = text_of(model_, answer.tokens);
  const Grade grade = desk_.grade(question, opened_thoughts_[index_of(question)] + text);
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
  record.pin_prompt = job.variant->pin_prompt;
  record.prompt_tokens = std::ssize(prompt_of(question));
  record.tokens = std::ssize(answer.tokens);
  record.correct = grade.correct;
  record.answer = grade.answer;
  record.expected = question.expected;
  record.finish = answer.ended ? "end" : "length";
  if (!answer.ended) record.loop = find_loop(answer.tokens);
  record.evictions = answer.evictions;
  record.loop_alarms = answer.loop_alarms;
  record.peak_kv_bytes = std::llround(answer.most_rows * bytes_per_row);
  record.seconds = answer.seconds;
  record.share_seconds = answer.share_seconds;
  if (host_.keep_text) record.text = std::move(text);
  file_.append(record);
  recorded_tokens_ += record.tokens;
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
