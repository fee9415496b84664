// The tables of recall, from answers alone.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "eval/statistics.hpp"
#include "recall/record.hpp"

namespace vase::recall {

/// Where and how it was asked.
struct Place {
  std::int64_t length = 0;
  std::string cache_types;
  std::string budget;
  std::int64_t after = 0;
};

/// One policy on one category at one depth; either may be all.
struct Cell {
  Place place;
  std::string policy;
  std::string category;         ///< "all"
  std::optional<double> depth;  ///< nothing: all depths
  std::int64_t answers = 0;
  std::int64_t texts = 0;
  double right = 0;              ///< share of the answers
  double fraction = 0;           ///< mean share of what was expected
  eval::Interval interval = {};  ///< 95% of `right`, bootstrap by text; Wilson's if all or none
};

/// A policy against the base on the answers that both gave.
struct Comparison {
  Place place;
  std::string policy, base;
  std::int64_t answers = 0;
  std::int64_t texts = 0;
  double difference = 0;         ///< of the shares right
  eval::Interval interval = {};  ///< 95%, paired bootstrap by text, each answer of one weight
  std::int64_t only_policy = 0;  ///< answers that it alone got right
  std::int64_t only_base = 0;
  double p_value = 1;  ///< sign flips over texts' sums: answers to one depend on each other
};

struct Summary {
  std::vector<Cell> cells;  ///< by place and policy; categories, "all", then "all" by depth
  std::vector<Comparison> comparisons;
};

/// `base`: the policy that the others are compared with at the same place; "": none. The full cache
/// is compared with it at each of its budgets.
Summary summarise(const std::vector<Record> &records, const std::string &base);

/// The policy to compare with where nobody says which (eval/table_order.hpp).
std::string usual_base(const std::vector<Record> &records);

nlohmann::ordered_json to_json(const Summary &summary);

}  // namespace vase::recall
