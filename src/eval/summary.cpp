#include "eval/summary.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <tuple>

#include "eval/table_order.hpp"

namespace vase::eval {
namespace {

constexpr const char *kAll = "all";
constexpr const char *kLookBack = " look-back";
const std::string kFull = vase_policy_name(vase_policy_full());

// Tables read in this order: short tiers first; cache types by name; the full cache, then ever
// smaller ones; policies as the registry lists them.
using Order = std::tuple<std::int64_t, std::string, std::string, double, std::int32_t, std::string>;

std::int64_t tier_order(const std::string &tier) { return std::atoll(tier.c_str()); }

struct Place {
  std::string tier, cache_types, budget, policy;

  Order order() const {
    return {tier_order(tier),     tier,  cache_types, budget_order(budget),
            policy_order(policy), policy};
  }
  bool operator<(const Place &other) const { return order() < other.order(); }
};

// A record, and what of it is looked at: the answer, or in a conversation all questions, or all
// look-backs of a kind.
struct Part {
  const Record *record;
  double right = 0;
  double total = 1;
};

using Group = std::vector<Part>;

// Share of right answers of each prompt or conversation.
std::map<std::string, double> pass_rates(const Group &group) {
  std::map<std::string, std::pair<double, double>> counts;
  for (const Part &part : group) {
    auto &[right, total] = counts[part.record->id];
    right += part.right;
    total += part.total;
  }
  std::map<std::string, double> rates;
  for (const auto &[id, count] : counts) rates[id] = count.first / count.second;
  return rates;
}

template <typename Value>
double mean_of(const Group &group, const Value &value) {
  double sum = 0;
  for (const Part &part : group) sum += static_cast<double>(value(*part.record));
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
  for (const Part &part : group) {
    cell.peak_kv_bytes = std::max(cell.peak_kv_bytes, part.record->peak_kv_bytes);
    seconds += part.record->share_seconds;
    cell.answers += part.total;
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
  const auto first_sample = [](const Part &part) { return part.record->sample == 0; };
  const auto one_answer = [](const Part &part) { return part.record->items.empty(); };
  if (!std::ranges::all_of(group, first_sample) || !std::ranges::all_of(base_group, first_sample)) {
    return result;
  }
  if (std::ranges::all_of(group, one_answer)) {
    result.test = "McNemar";
    result.p_value = mcnemar_exact(result.only_policy, result.only_base);
  } else {
    result.test = "sign flips";
    result.p_value = sign_flip_test(differences);
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
          {"answers", cell.answers},
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
                                 {"test", comparison.test},
                                 {"p_value", nullptr}};
  if (comparison.p_value) json["p_value"] = *comparison.p_value;
  return json;
}

}  // namespace

namespace {

// What a record adds to: its tier and task, and of a conversation with look-backs those of a tier
// of their own, all of a task and by kind.
struct Share {
  std::string tier, task;
  double right = 0, total = 0;
};

std::vector<Share> shares_of(const Record &record) {
  if (record.items.empty()) return {{record.tier, record.task, record.correct ? 1.0 : 0.0, 1}};
  Share questions{record.tier, record.task};
  std::map<std::string, Share> by_kind;
  for (const RecordedItem &item : record.items) {
    if (!item.correct) continue;
    Share *share = &questions;
    if (!item.kind.empty()) {
      const auto first = by_kind.try_emplace(
          item.kind, Share{record.tier + kLookBack, record.task + ": " + item.kind});
      share = &first.first->second;
    }
    share->right += *item.correct ? 1 : 0;
    ++share->total;
  }
  std::vector<Share> shares = {questions};
  for (const auto &[kind, share] : by_kind) shares.push_back(share);
  return shares;
}

}  // namespace

Summary summarise(const std::vector<Record> &records, const std::string &base) {
  struct Groups {
    std::map<std::string, Group> by_task;
    std::map<const Record *, Part> whole;  // all that a record adds to this place
  };
  std::map<Place, Groups> places;
  for (const Record &record : records) {
    for (const Share &share : shares_of(record)) {
      Groups &groups = places[{share.tier, record.cache_types, record.budget, record.policy}];
      groups.by_task[share.task].push_back({&record, share.right, share.total});
      Part &whole = groups.whole.try_emplace(&record, Part{&record, 0, 0}).first->second;
      whole.right += share.right;
      whole.total += share.total;
    }
  }
  const auto all_of = [](const Groups &groups) {
    Group all;
    for (const auto &[record, part] : groups.whole) all.push_back(part);
    return all;
  };
  Summary summary;
  for (const auto &[place, groups] : places) {
    const Group group = all_of(groups);
    for (const auto &[task, part] : groups.by_task)
      summary.cells.push_back(cell_of(place, task, part));
    summary.cells.push_back(cell_of(place, kAll, group));

    if (base.empty() || place.policy == base) continue;
    auto base_groups = places.find({place.tier, place.cache_types, place.budget, base});
    if (base_groups != places.end()) {
      summary.comparisons.push_back(compare(place, base, group, all_of(base_groups->second)));
      continue;
    }
    // The full cache has no budget: it is compared at every budget that the base was run with.
    for (const auto &[other, groups_of_base] : places) {
      const bool beside = other.tier == place.tier && other.cache_types == place.cache_types;
      if (place.policy != kFull || other.policy != base || !beside) continue;
      const Place at{place.tier, place.cache_types, other.budget, place.policy};
      summary.comparisons.push_back(compare(at, base, group, all_of(groups_of_base)));
    }
  }
  return summary;
}

std::string usual_base(const std::vector<Record> &records) {
  std::set<std::string> policies;
  for (const Record &record : records) policies.insert(record.policy);
  return usual_base(policies);
}

nlohmann::ordered_json to_json(const Summary &summary) {
  nlohmann::ordered_json json = {{"cells", nlohmann::ordered_json::array()},
                                 {"comparisons", nlohmann::ordered_json::array()}};
  for (const Cell &cell : summary.cells) json["cells"].push_back(to_json(cell));
  for (const Comparison &c : summary.comparisons) json["comparisons"].push_back(to_json(c));
  return json;
}

}  // namespace vase::eval
