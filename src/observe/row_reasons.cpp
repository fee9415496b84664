#include "observe/row_reasons.hpp"

#include <algorithm>

namespace vase::observe {
namespace {

// Rows that came after the last eviction, and its recency window.
std::ptrdiff_t undecided(std::ptrdiff_t rows, const vase_params &policy, std::int64_t evictions) {
  if (evictions == 0) return rows;
  const std::ptrdiff_t since = std::max<std::ptrdiff_t>(rows - policy.budget, 0);
  return std::min<std::ptrdiff_t>(since + policy.recency, rows);
}

// As libvase protects: the widest of those that are not kept anyway.
void mark_protected(std::span<ExplainedRow> decided, std::ptrdiff_t n_protected) {
  std::vector<ExplainedRow *> candidates;
  for (ExplainedRow &row : decided) {
    if (row.reason == Reason::drawn) candidates.push_back(&row);
  }
  const auto left = std::min(n_protected, std::ssize(candidates));
  std::partial_sort(candidates.begin(), candidates.begin() + left, candidates.end(),
                    [](const auto *a, const auto *b) { return a->value_range > b->value_range; });
  for (std::ptrdiff_t i = 0; i < left; ++i) {
    candidates[static_cast<std::size_t>(i)]->reason = Reason::protected_by_range;
  }
}

}  // namespace

const char *to_string(Reason reason) {
  switch (reason) {
    case Reason::sink:
      return "sink";
    case Reason::pinned:
      return "pinned";
    case Reason::protected_by_range:
      return "protected";
    case Reason::drawn:
      return "drawn";
    case Reason::recent:
      break;
  }
  return "recent";
}

std::vector<ExplainedRow> explain_rows(const HeadRows &rows, const vase_params &policy,
                                       std::int64_t evictions) {
  std::vector<ExplainedRow> explained;
  for (std::size_t i = 0; i < rows.positions.size(); ++i) {
    explained.push_back({rows.positions[i], rows.value_ranges[i], Reason::drawn});
  }
  std::ranges::sort(explained, {}, &ExplainedRow::position);
  const std::ptrdiff_t n = std::ssize(explained);
  const std::ptrdiff_t first_undecided = n - undecided(n, policy, evictions);
  for (std::ptrdiff_t i = 0; i < n; ++i) {
    ExplainedRow &row = explained[static_cast<std::size_t>(i)];
    if (row.position < policy.sinks) {
      row.reason = Reason::sink;
    } else if (rows.pinned.has(row.position)) {
      row.reason = Reason::pinned;
    } else if (i >= first_undecided) {
      row.reason = Reason::recent;
    }
  }
  if (vase_policy_protects_widest(policy.policy) != 0) {
    mark_protected(std::span(explained).first(static_cast<std::size_t>(first_undecided)),
                   rows.n_protected);
  }
  return explained;
}

}  // namespace vase::observe
