// The tables of a run, from its records alone.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "eval/record.hpp"
#include "eval/statistics.hpp"

namespace vase::eval {

/// One policy at one budget on one task, or on all tasks of a tier.
struct Cell {
  std::string tier;
  std::string cache_types;  ///< of keys and values: "q8_0/q8_0"
  std::string budget;       ///< as asked for; "full"
  std::string policy;
  std::string task;            ///< "all": every question of the tier
  std::int64_t questions = 0;  ///< prompts or conversations
  std::int64_t samples = 0;
  double answers = 0;   ///< that were graded: several in a conversation
  double accuracy = 0;  ///< pass@1: the mean over questions of the share of right answers
  /// 95%, bootstrap by question; Wilson's if all or none are right, where a bootstrap has no width.
  Interval interval = {};
  double mean_tokens = 0;          ///< generated
  double at_limit = 0;             ///< share of samples that hit the length limit
  double in_loop = 0;              ///< share of samples that ended in a repetition loop
  double mean_rows = 0;            ///< budget in rows; 0 for the full cache
  std::int64_t peak_kv_bytes = 0;  ///< of a sequence, the largest
  double mean_kv_bytes = 0;        ///< of a sequence at its largest, mean over samples
  double evictions = 0;            ///< mean
  double tokens_per_second = 0;    ///< tokens over the machine's time that went into them
};

/// A policy against the base on the questions that both answered, at the same budget and with the
/// same types.
struct Comparison {
  std::string tier, cache_types, budget, policy, base;
  std::int64_t questions = 0;
  double difference = 0;         ///< of the accuracies
  Interval interval = {};        ///< 95%, paired bootstrap by question
  std::int64_t only_policy = 0;  ///< questions that it alone got right; with one sample each
  std::int64_t only_base = 0;
  std::string test = {};  ///< what was tested by: "McNemar" (exact), of conversations "sign flips"
  std::optional<double> p_value = {};  ///< nothing with several samples a question
};

struct Summary {
  std::vector<Cell> cells;  ///< by tier, cache types, budget, policy and task; "all" comes last
  std::vector<Comparison> comparisons;
};

/// `base`: the policy that the others are compared with; "" for none.
Summary summarise(const std::vector<Record> &records, const std::string &base);

/// The policy to compare with where nobody says which (table_order.hpp).
std::string usual_base(const std::vector<Record> &records);

nlohmann::ordered_json to_json(const Summary &summary);

}  // namespace vase::eval
