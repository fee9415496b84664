#include "eval/schedule.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <tuple>

#include "tasks/random.hpp"

namespace vase::eval {
namespace {

constexpr std::int64_t kFullStep = 2048;    // full caches within this many cells share a context
constexpr std::int64_t kCellPadding = 256;  // of llama.cpp

std::int64_t round_up(std::int64_t value, std::int64_t step) {
  return (value + step - 1) / step * step;
}

// Whether it evicts, cells, the query window if the policy scores by attention, and whether steps
// select. Policies without queries get a context of their own, which captures none.
using ContextKey = std::tuple<bool, std::int64_t, std::int32_t, bool>;

ContextKey context_key(const Job &job) {
  if (!job.variant->evicts)
    return {false, round_up(job.need, kFullStep), 0, job.variant->selection.has_value()};
  const bool queries = vase_policy_needs_queries(job.params.policy) != 0;
  return {true, round_up(std::int64_t{job.params.budget} + job.params.interval, kCellPadding),
          queries ? job.params.window : 0, false};
}

vase_params context_policy(const std::vector<Job> &jobs) {
  const auto rows = [](const Job &job) { return job.params.budget + job.params.interval; };
  const Job &largest =
      *std::ranges::max_element(jobs, {}, [](const Job &job) { return job.params.budget; });
  std::int32_t most = 0;
  for (const Job &job : jobs) most = std::max(most, rows(job));
  vase_params policy = largest.params;
  policy.interval = most - policy.budget;
  return policy;
}

// Calls visit(question, sample, limit, need) for each.
template <typename Visit>
void for_each_sample(const EvaluationPlan &plan, const std::vector<std::int64_t> &prompt_tokens,
                     std::int64_t n_ctx_train, const Visit &visit) {
  for (std::size_t i = 0; i < plan.questions.size(); ++i) {
    const Question &question = plan.questions[i];
    const Asking &asking = plan.asking_of(question.task);
    const std::int64_t limit = limit_of(question, asking, prompt_tokens[i], n_ctx_train);
    for (int sample = 0; sample < asking.samples; ++sample) {
      Job job;
      job.question = &question;
      job.sample = sample;
      job.limit = limit;
      job.need = prompt_tokens[i] + limit;
      visit(std::move(job));
    }
  }
}

void add_unless_done(Job job, const std::set<std::string> &done, std::vector<Job> &jobs) {
  const std::string key = key_of(job.question->id, job.variant->label, job.budget, job.sample);
  if (!done.contains(key)) jobs.push_back(std::move(job));
}

}  // namespace

const Asking &EvaluationPlan::asking_of(const std::string &task) const {
  const auto own = asking_by_task.find(task);
  return own == asking_by_task.end() ? asking : own->second;
}

bool EvaluationPlan::has_full() const {
  return std::ranges::any_of(variants, [](const Variant &v) { return !v.has_budget(); });
}

std::int64_t limit_of(const Question &question, const Asking &asking, std::int64_t prompt_tokens,
                      std::int64_t n_ctx_train) {
  if (!question.turns.empty()) {
    std::int64_t all = 0;
    for (const Question &turn : question.turns) all += limit_of_turn(turn, asking);
    return all;
  }
  if (asking.limit) return *asking.limit;
  const std::int64_t room = std::max<std::int64_t>(n_ctx_train - prompt_tokens, 1);
  return question.limit > 0 ? std::min(question.limit, room) : room;
}

std::int64_t limit_of_turn(const Question &turn, const Asking &asking) {
  const std::int64_t asked = asking.limit.value_or(turn.limit);
  return turn.kind.empty() ? asked : std::min(asked, turn.limit);
}

std::vector<Job> full_jobs(const EvaluationPlan &plan,
                           const std::vector<std::int64_t> &prompt_tokens, std::int64_t n_ctx_train,
                           const std::set<std::string> &done) {
  std::vector<Job> jobs;
  for (const Variant &variant : plan.variants) {
    if (variant.has_budget()) continue;
    for_each_sample(plan, prompt_tokens, n_ctx_train, [&](Job job) {
      job.variant = &variant;
      job.budget = variant.label;
      job.params = variant.params(1);
      add_unless_done(std::move(job), done, jobs);
    });
  }
  return jobs;
}

std::vector<Job> budget_jobs(const EvaluationPlan &plan, const MeanLengths &lengths,
                             const std::vector<std::int64_t> &prompt_tokens,
                             std::int64_t n_ctx_train, const std::set<std::string> &done) {
  std::vector<Job> jobs;
  for (const Variant &variant : plan.variants) {
    if (!variant.has_budget()) continue;
    for (const Budget &budget : plan.budgets) {
      for_each_sample(plan, prompt_tokens, n_ctx_train, [&](Job job) {
        const std::string group = group_of(job.question->task, job.question->tier);
        job.variant = &variant;
        job.budget = budget.label;
        job.params = variant.params(rows_of(budget, lengths, group));
        add_unless_done(std::move(job), done, jobs);
      });
    }
  }
  return jobs;
}

std::vector<Phase> phases_of(std::vector<Job> jobs) {
  std::map<ContextKey, std::vector<Job>, std::greater<>> by_context;
  for (Job &job : jobs) by_context[context_key(job)].push_back(std::move(job));
  std::vector<Phase> phases;
  for (auto &[key, group] : by_context) {
    std::ranges::stable_sort(group, std::greater{}, &Job::limit);
    Phase phase{.policy = context_policy(group), .n_ctx = std::get<1>(key)};
    phase.jobs = std::move(group);
    phases.push_back(std::move(phase));
  }
  return phases;
}

std::uint32_t stream_of(const std::string &question, int sample, std::uint64_t seed) {
  const std::string name = fmt::format("{}#{}#{}", question, sample, seed);
  return static_cast<std::uint32_t>(tasks::hash_text(name)) & 0x7fffffffU;
}

}  // namespace vase::eval
