#include "tasks/registry.hpp"

#include <cstdio>
#include <stdexcept>

namespace vase::tasks {
namespace {

constexpr Task kTasks[] = {
    {"arithmetic", "machines that compute with numbers, applied one after the other",
     make_arithmetic},
    {"tracking", "who holds what after many games of trading", make_tracking},
    {"graph", "fewest roads between towns, by breadth-first search", make_graph},
    {"deduction", "which traits follow from which, by rules applied until nothing changes",
     make_deduction},
    {"program", "a short program with loops, run by hand", make_program},
    {"subset", "numbers that add up to a target, by search with backtracking", make_subset},
};

// Chat marks, <think> tags and the sentence with the answer.
constexpr int kChatTokens = 60;

// Far more than any task needs: a generator that never meets its lengths is a mistake in it.
constexpr int kMaxDrafts = 100000;

bool fits(const Draft& draft, const Lengths& lengths) {
  const int chain = count_tokens(draft.chain);
  const int question = count_tokens(draft.question);
  return !draft.answer.empty() && chain >= lengths.min_chain && chain <= lengths.max_chain &&
         question <= lengths.max_question && chain + question + kChatTokens <= kContext;
}

std::string id_of(const Task& task, Tier tier, Split split, std::uint64_t seed) {
  char hex[17];
  std::snprintf(hex, sizeof hex, "%016llx", static_cast<unsigned long long>(seed));
  return cat(task.name, "-", name_of(tier), "-", name_of(split), "-", hex);
}

}  // namespace

std::span<const Task> all_tasks() { return kTasks; }

const Task* find_task(std::string_view name) {
  for (const Task& task : kTasks) {
    if (task.name == name) return &task;
  }
  return nullptr;
}

Problem make_problem(const Task& task, Tier tier, Split split, std::uint64_t seed) {
  const Lengths lengths = lengths_of(tier);
  Rng rng(seed ^ hash_text(cat(task.name, "-", name_of(tier))));
  for (int i = 0; i < kMaxDrafts; ++i) {
    Draft draft = task.generator(rng, lengths);
    if (!fits(draft, lengths) || split_of(draft.content) != split) continue;
    return {id_of(task, tier, split, seed),
            std::string(task.name),
            tier,
            seed,
            std::move(draft.question),
            std::move(draft.chain),
            std::move(draft.answer)};
  }
  throw std::runtime_error(
      cat("task ", task.name, " cannot make a problem of tier ", name_of(tier)));
}

std::vector<Problem> make_problems(const Task& task, Tier tier, Split split, std::uint64_t seed,
                                   int count) {
  Rng rng(seed);
  std::vector<Problem> problems;
  for (int i = 0; i < count; ++i) {
    problems.push_back(make_problem(task, tier, split, rng.next()));
  }
  return problems;
}

}  // namespace vase::tasks
