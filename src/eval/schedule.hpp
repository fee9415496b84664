// What an evaluation has to do, and which of it can share a context.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "core/selection.hpp"
#include "engine/sampler.hpp"
#include "engine/thinking_budget.hpp"
#include "eval/budget.hpp"
#include "eval/question.hpp"
#include "vase/vase.h"

namespace vase::eval {

/// A policy as it is compared: with parameters of its own, and perhaps the prompt pinned.
struct Variant {
  std::string label;  ///< "NAME", "NAME+prompt"
  const vase_policy *policy = nullptr;
  bool evicts = true;             ///< false: the full cache
  float pin_prompt = 0.0f;        ///< share of the budget
  bool pins_first_alone = false;  ///< of a conversation's prompts, not the newest
  bool loop_guard = false;        ///< act in the cache when an answer begins to repeat itself
  /// What steps read of a full cache; then `policy` is the full cache's.
  std::optional<Selection> selection = {};
  /// The parameters at a budget. Throws Error if they do not fit together.
  std::function<vase_params(std::int32_t budget)> params;

  /// Whether it is run at each budget.
  bool has_budget() const { return evicts || selection; }
};

/// How the model is asked.
struct Asking {
  engine::SamplingOptions sampling = {};
  int samples = 1;                         ///< of each question
  std::optional<std::int64_t> limit = {};  ///< tokens; else the question's own
  engine::ThinkingOptions thinking = {};
};

struct EvaluationPlan {
  std::vector<Question> questions;
  std::vector<Variant> variants;
  std::vector<Budget> budgets;
  Asking asking;
  std::map<std::string, Asking> asking_by_task;
  std::uint64_t seed = 1;
  MeanLengths lengths;  ///< of the full cache, if they are known from another run

  const Asking &asking_of(const std::string &task) const;
  bool has_full() const;
};

/// One sample of one question under one variant and budget. Points into the plan.
struct Job {
  const Question *question = nullptr;
  const Variant *variant = nullptr;
  std::string budget;  ///< its label
  int sample = 0;
  vase_params params{};
  std::int64_t limit = 0;  ///< tokens to generate at most
  std::int64_t need = 0;   ///< rows of a full cache at the end
};

/// Jobs that run in one context, which is made for them: their caches have the same number of
/// cells, so that the outcome of a job does not depend on what else is evaluated.
struct Phase {
  vase_params policy = {};     ///< of the context; the largest of the jobs'
  std::int64_t n_ctx = 0;      ///< cells of each sequence, without eviction
  std::vector<Job> jobs = {};  ///< the longest first
};

/// Tokens that the answer to a question may have, for a model trained on `n_ctx_train` tokens; of a
/// conversation those of all its turns together.
std::int64_t limit_of(const Question &question, const Asking &asking, std::int64_t prompt_tokens,
                      std::int64_t n_ctx_train);

/// Tokens that the answer to a turn of a conversation may have: what is asked for, or the turn's
/// own limit; a look-back never has more than its own.
std::int64_t limit_of_turn(const Question &turn, const Asking &asking);

/// The jobs of the full cache, and those of the variants that have a budget. `prompt_tokens`: of
/// each question of the plan. `done`: keys of what needs not be done again (key_of).
std::vector<Job> full_jobs(const EvaluationPlan &plan,
                           const std::vector<std::int64_t> &prompt_tokens, std::int64_t n_ctx_train,
                           const std::set<std::string> &done);
/// Throws Error if a budget depends on a length that is not in `lengths`.
std::vector<Job> budget_jobs(const EvaluationPlan &plan, const MeanLengths &lengths,
                             const std::vector<std::int64_t> &prompt_tokens,
                             std::int64_t n_ctx_train, const std::set<std::string> &done);

/// Largest caches first, so that what does not fit fails early.
std::vector<Phase> phases_of(std::vector<Job> jobs);

/// A number that depends on question and sample alone: streams of draws and seeds of samplers come
/// from it, so that a result depends neither on slot nor order.
std::uint32_t stream_of(const std::string &question, int sample, std::uint64_t seed);

}  // namespace vase::eval
