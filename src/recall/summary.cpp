#include "recall/summary.hpp"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <numeric>
#include <set>
#include <tuple>

#include "eval/table_order.hpp"
#include "recall/category.hpp"
#include "vase/vase.h"

namespace vase::recall {
namespace {

using nlohmann::ordered_json;
using Answers = std::vector<const Record *>;

constexpr const char *kAll = "all";

bool is_full(const std::string &policy) { return policy == vase_policy_name(vase_policy_full()); }

// A place and a policy there, in the order of the tables.
struct Row {
  Place place;
  std::string policy;

  auto order() const {
    return std::tuple(place.length, place.cache_types, place.after,
                      eval::budget_order(place.budget), eval::policy_order(policy), policy);
  }
  bool operator<(const Row &other) const { return order() < other.order(); }
};

Row row_of(const Record &record) {
  return {{record.length, record.cache_types, record.budget, record.after}, record.policy};
}

// What the answers to each text come to. Texts have different numbers of them, and every answer
// weighs the same: in a mean, in its interval and in its p-value.
struct ByText {
  std::vector<double> sums, counts;  // one element a text

  explicit ByText(const std::map<int, std::vector<double>> &values) {
    for (const auto &[text, of_text] : values) {
      sums.push_back(std::accumulate(of_text.begin(), of_text.end(), 0.0));
      counts.push_back(static_cast<double>(of_text.size()));
    }
  }
  double total() const { return std::accumulate(sums.begin(), sums.end(), 0.0); }
  double answers() const { return std::accumulate(counts.begin(), counts.end(), 0.0); }
  double mean() const { return total() / answers(); }
  eval::Interval interval() const { return eval::bootstrap_interval(sums, counts); }
};

double is_right(const Record &record) { return record.right ? 1.0 : 0.0; }

Cell cell_of(const Row &row, const std::string &category, std::optional<double> depth,
             const Answers &answers) {
  std::map<int, std::vector<double>> right;
  for (const Record *record : answers) right[record->text].push_back(is_right(*record));
  const ByText texts(right);
  Cell cell{.place = row.place,
            .policy = row.policy,
            .category = category,
            .depth = depth,
            .answers = std::ssize(answers),
            .texts = std::ssize(texts.sums),
            .right = texts.mean()};
  for (const Record *record : answers) cell.fraction += record->fraction;
  cell.fraction /= texts.answers();
  const bool varied = cell.right > 0 && cell.right < 1;
  cell.interval = varied ? texts.interval() : eval::wilson_interval(texts.total(), texts.answers());
  return cell;
}

// The cells of a row: categories in their order, all of them, all of them by depth.
void add_cells(const Row &row, const Answers &answers, std::vector<Cell> &cells) {
  std::map<std::string, Answers> by_category;
  std::map<double, Answers> by_depth;
  for (const Record *record : answers) {
    by_category[record->category].push_back(record);
    if (record->depth) by_depth[*record->depth].push_back(record);
  }
  for (const Category &category : categories()) {
    const auto found = by_category.find(category.name);
    if (found != by_category.end())
      cells.push_back(cell_of(row, category.name, std::nullopt, found->second));
  }
  cells.push_back(cell_of(row, kAll, std::nullopt, answers));
  for (const auto &[depth, some] : by_depth) cells.push_back(cell_of(row, kAll, depth, some));
}

Comparison compare(const Row &row, const Answers &answers, const Row &base,
                   const Answers &answers_of_base) {
  Comparison result{.place = is_full(row.policy) ? base.place : row.place,
                    .policy = row.policy,
                    .base = base.policy};
  std::map<std::pair<int, std::string>, bool> theirs;
  for (const Record *record : answers_of_base) theirs[{record->text, record->item}] = record->right;
  std::map<int, std::vector<double>> differences;
  for (const Record *record : answers) {
    const auto other = theirs.find({record->text, record->item});
    if (other == theirs.end()) continue;
    const double difference = is_right(*record) - (other->second ? 1.0 : 0.0);
    result.only_policy += difference > 0 ? 1 : 0;
    result.only_base += difference < 0 ? 1 : 0;
    differences[record->text].push_back(difference);
    ++result.answers;
  }
  result.texts = std::ssize(differences);
  if (differences.empty()) return result;
  const ByText texts(differences);
  result.difference = texts.mean();
  result.interval = texts.interval();
  result.p_value = eval::sign_flip_test(texts.sums);  // whatever the signs, the divisor is one
  return result;
}

bool beside(const Place &one, const Place &other) {
  return one.length == other.length && one.cache_types == other.cache_types &&
         one.after == other.after;
}

ordered_json place_json(const Place &place) {
  return {{"length", place.length},
          {"cache_types", place.cache_types},
          {"budget", place.budget},
          {"after", place.after}};
}

ordered_json json_of(const Cell &cell) {
  ordered_json json = place_json(cell.place);
  json.update({{"policy", cell.policy},
               {"category", cell.category},
               {"depth", nullptr},
               {"answers", cell.answers},
               {"texts", cell.texts},
               {"right", cell.right},
               {"fraction", cell.fraction},
               {"low", cell.interval.low},
               {"high", cell.interval.high}});
  if (cell.depth) json["depth"] = *cell.depth;
  return json;
}

ordered_json json_of(const Comparison &comparison) {
  ordered_json json = place_json(comparison.place);
  json.update({{"policy", comparison.policy},
               {"base", comparison.base},
               {"answers", comparison.answers},
               {"texts", comparison.texts},
               {"difference", comparison.difference},
               {"low", comparison.interval.low},
               {"high", comparison.interval.high},
               {"only_policy", comparison.only_policy},
               {"only_base", comparison.only_base},
               {"p_value", comparison.p_value}});
  return json;
}

}  // namespace

Summary summarise(const std::vector<Record> &records, const std::string &base) {
  std::map<Row, Answers> rows;
  for (const Record &record : records) rows[row_of(record)].push_back(&record);
  Summary summary;
  for (const auto &[row, answers] : rows) {
    add_cells(row, answers, summary.cells);
    if (base.empty() || row.policy == base) continue;
    for (const auto &[other, answers_of_base] : rows) {
      const bool same_budget = is_full(row.policy) || other.place.budget == row.place.budget;
      if (other.policy != base || !same_budget || !beside(other.place, row.place)) continue;
      summary.comparisons.push_back(compare(row, answers, other, answers_of_base));
    }
  }
  return summary;
}

std::string usual_base(const std::vector<Record> &records) {
  std::set<std::string> policies;
  for (const Record &record : records) policies.insert(record.policy);
  return eval::usual_base(policies);
}

ordered_json to_json(const Summary &summary) {
  ordered_json json = {{"cells", ordered_json::array()}, {"comparisons", ordered_json::array()}};
  for (const Cell &cell : summary.cells) json["cells"].push_back(json_of(cell));
  for (const Comparison &c : summary.comparisons) json["comparisons"].push_back(json_of(c));
  return json;
}

}  // namespace vase::recall
