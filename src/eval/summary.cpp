#include "eval/summary.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <tuple>

#include "eval/budget.hpp"

namespace vase::eval {
namespace {

constexpr const char *kAll = "all";
const std::string kFull = vase_policy_name(vase_policy_full());

// Tables read in this order: short tiers first; cache types by name; the full cache, then ever
// smaller ones; policies as the registry lists them.
using Order = std::tuple<std::int64_t, std::string, double, std::int32_t, std::string>;

std::int64_t tier_order(const std::string &tier) { return std::atoll(tier.c_str()); }

double budget_order(const std::string &label) {
  if (label == kFull) return 0;
  const Budget budget = parse_budget(label);
  return budget.divisor > 0 ? budget.divisor : 2e9 - budget.rows;
}

std::int32_t policy_order(const std::string &label) {
  if (label == kFull) return -1;
  const std::string name = label.substr(0, label.find_first_of("+:"));
  for (std::int32_t i = 0; i < vase_policy_count(); ++i) {
    if (name == vase_policy_name(vase_policy_at(i))) return i;
  }
  return vase_policy_count();
}

struct Place {
  std::string tier, cache_types, budget, policy;

  Order order() const {
    return {tier_order(tier), cache_types, budget_order(budget), policy_order(policy),
            policy + "\n" + tier};
  }
  bool operator<(const Place &other) const { return order() < other.order(); }
};

using Group = std::vector<const Record *>;

// Share of right samples of each question.
std::map<std::string, double> pass_rates(const Group &group) {
  std::map<std::string, std::pair<double, double>> counts;
  for (const Record *record : group) {
    auto &[right, total] = counts[record->id];
    right += record->correct ? 1 : 0;
    ++total;
  }
  std::map<std::string, double> rates;
  for (const auto &[id, count] : counts) rates[id] = count.first / count.second;
  return rates;
}

template <typename Value>
double mean_of(const Group &group, const Value &value) {
  double sum = 0;
  for (const Record *record : group) sum += static_cast<double>(value(*record));
  return sum / static_cast<double>(group.size());
}

Cell cell_of(const Place &place, const std::string &task, const Group &group) {
  Cell cell{.tier = place.tier,
            .cache_types = place.cache_types,
            .budget = place.budget,
            .policy = place.policy,
            .task = task};
  std::vector<double> rates;
  for (const auto &[id, rate] : pass_rates(group)) rates.push_back(rate);
  cell.questions = std::ssize(rates);
  cell.samples = std::ssize(group);
  double right = 0;
  for (const double rate : rates) right += rate;
  const auto count = static_cast<double>(rates.size());
  cell.accuracy = right / count;
  const bool varied = cell.accuracy > 0 && cell.accuracy < 1;
  cell.interval = varied ? bootstrap_interval(rates) : wilson_interval(right, count);
  cell.mean_tokens = mean_of(group, [](const Record &r) { return r.tokens; });
  cell.at_limit = mean_of(group, [](const Record &r) { return r.finish == "length"; });
  cell.in_loop = mean_of(group, [](const Record &r) { return r.loop.has_value(); });
  cell.mean_kv_bytes = mean_of(group, [](const Record &r) { return r.peak_kv_bytes; });
  cell.evictions = mean_of(group, [](const Record &r) { return r.evictions; });
  if (place.policy != kFull) {
    cell.mean_rows = mean_of(group, [](const Record &r) { return r.params.budget; });
  }
  double seconds = 0;
  for (const Record *record : group) {
    cell.peak_kv_bytes = std::max(cell.peak_kv_bytes, record->peak_kv_bytes);
    seconds += record->share_seconds;
  }
  if (seconds > 0) {
    cell.tokens_per_second = cell.mean_tokens * static_cast<double>(cell.samples) / seconds;
  }
  return cell;
}

Comparison compare(const Place &place, const std::string &base, const Group &group,
                   const Group &base_group) {
  Comparison result{.tier = place.tier,
                    .cache_types = place.cache_types,
                    .budget = place.budget,
                    .policy = place.policy,
                    .base = base};
  const std::map<std::string, double> theirs = pass_rates(base_group);
  std::vector<double> differences;
  for (const auto &[id, rate] : pass_rates(group)) {
    const auto other = theirs.find(id);
    if (other == theirs.end()) continue;
    differences.push_back(rate - other->second);
    result.only_policy += rate > other->second ? 1 : 0;
    result.only_base += rate < other->second ? 1 : 0;
  }
  result.questions = std::ssize(differences);
  if (differences.empty()) return result;
  for (const double difference : differences) result.difference += difference;
  result.difference /= static_cast<double>(differences.size());
  result.interval = bootstrap_interval(differences);
  const auto first_sample = [](const Record *record) { return record->sample == 0; };
  if (std::ranges::all_of(group, first_sample) && std::ranges::all_of(base_group, first_sample)) {
    result.p_value = mcnemar_exact(result.only_policy, result.only_base);
  }
  return result;
}

nlohmann::ordered_json to_json(const Cell &cell) {
  return {{"tier", cell.tier},
          {"cache_types", cell.cache_types},
          {"budget", cell.budget},
          {"policy", cell.policy},
          {"task", cell.task},
          {"questions", cell.questions},
          {"samples", cell.samples},
          {"accuracy", cell.accuracy},
          {"low", cell.interval.low},
          {"high", cell.interval.high},
          {"mean_tokens", cell.mean_tokens},
          {"at_limit", cell.at_limit},
          {"in_loop", cell.in_loop},
          {"mean_rows", cell.mean_rows},
          {"peak_kv_bytes", cell.peak_kv_bytes},
          {"mean_kv_bytes", cell.mean_kv_bytes},
          {"evictions", cell.evictions},
          {"tokens_per_second", cell.tokens_per_second}};
}

nlohmann::ordered_json to_json(const Comparison &comparison) {
  nlohmann::ordered_json json = {{"tier", comparison.tier},
                                 {"cache_types", comparison.cache_types},
                                 {"budget", comparison.budget},
                                 {"policy", comparison.policy},
                                 {"base", comparison.base},
                                 {"questions", comparison.questions},
                                 {"difference", comparison.difference},
                                 {"low", comparison.interval.low},
                                 {"high", comparison.interval.high},
                                 {"only_policy", comparison.only_policy},
                                 {"only_base", comparison.only_base},
                                 {"p_value", nullptr}};
  if (comparison.p_value) json["p_value"] = *comparison.p_value;
  return json;
}

}  // namespace

Summary summarise(const std::vector<Record> &records, const std::string &base) {
  std::map<Place, Group> groups;
  for (const Record &record : records) {
    groups[{record.tier, record.cache_types, record.budget, record.policy}].push_back(&record);
  }
  Summary summary;
  for (const auto &[place, group] : groups) {
    std::map<std::string, Group> by_task;
    for (const Record *record : group) by_task[record->task].push_back(record);
    for (const auto &[task, part] : by_task) summary.cells.push_back(cell_of(place, task, part));
    summary.cells.push_back(cell_of(place, kAll, group));

    if (base.empty() || place.policy == base) continue;
    auto base_group = groups.find({place.tier, place.cache_types, place.budget, base});
    if (base_group != groups.end()) {
      summary.comparisons.push_back(compare(place, base, group, base_group->second));
      continue;
    }
    // The full cache has no budget: it is compared at every budget that the base was run with.
    for (const auto &[other, records_of_base] : groups) {
      const bool beside = other.tier == place.tier && other.cache_types == place.cache_types;
      if (place.policy != kFull || other.policy != base || !beside) continue;
      const Place at{place.tier, place.cache_types, other.budget, place.policy};
      summary.comparisons.push_back(compare(at, base, group, records_of_base));
    }
  }
  return summary;
}

std::string usual_base(const std::vector<Record> &records) {
  // The first of all policies is VaSE as published.
  for (const vase_policy *policy : {vase_policy_at(0), vase_policy_default()}) {
    std::string base = vase_policy_name(policy);
    if (std::ranges::find(records, base, &Record::policy) != records.end()) return base;
  }
  return {};
}

nlohmann::ordered_json to_json(const Summary &summary) {
  nlohmann::ordered_json json = {{"cells", nlohmann::ordered_json::array()},
                                 {"comparisons", nlohmann::ordered_json::array()}};
  for (const Cell &cell : summary.cells) json["cells"].push_back(to_json(cell));
  for (const Comparison &c : summary.comparisons) json["comparisons"].push_back(to_json(c));
  return json;
}

}  // namespace vase::eval
