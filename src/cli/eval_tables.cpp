#include "cli/eval_tables.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <map>
#include <tuple>
#include <utility>
#include <vector>

#include "cli/table.hpp"
#include "cli/units.hpp"

namespace vase::cli {
namespace {

using eval::Cell;
using eval::Comparison;

std::string percent(double share) { return fmt::format("{:.1f}", 100 * share); }

std::string interval_text(const eval::Interval &interval) {
  return fmt::format("{:.1f}-{:.1f}", 100 * interval.low, 100 * interval.high);
}

// Cells of one tier, budget and cache type: rows are policies, columns tasks.
struct Block {
  std::vector<std::string> policies;
  std::vector<std::string> tasks;
  std::map<std::pair<std::string, std::string>, const Cell *> cells;

  void add(const Cell &cell) {
    const auto add_once = [](std::vector<std::string> &names, const std::string &name) {
      if (std::ranges::find(names, name) == names.end()) names.push_back(name);
    };
    add_once(policies, cell.policy);
    if (cell.task != "all") add_once(tasks, cell.task);
    cells[{cell.policy, cell.task}] = &cell;
  }
};

std::vector<std::string> row_of(const Block &block, const std::string &policy) {
  std::vector<std::string> row = {policy};
  for (const std::string &task : block.tasks) {
    const auto cell = block.cells.find({policy, task});
    row.push_back(cell == block.cells.end() ? "-" : percent(cell->second->accuracy));
  }
  const Cell &all = *block.cells.at({policy, "all"});
  for (std::string &text : std::vector<std::string>{
           percent(all.accuracy), interval_text(all.interval), fmt::format("{}", all.samples),
           fmt::format("{:.0f}", all.mean_tokens), percent(all.at_limit), percent(all.in_loop),
           all.mean_rows > 0 ? fmt::format("{:.0f}", all.mean_rows) : "-",
           format_bytes(static_cast<std::uint64_t>(all.peak_kv_bytes)),
           fmt::format("{:.0f}", all.tokens_per_second)}) {
    row.push_back(std::move(text));
  }
  return row;
}

std::string table_of(const Block &block) {
  std::vector<std::string> header = {"policy"};
  header.insert(header.end(), block.tasks.begin(), block.tasks.end());
  for (const char *name :
       {"all", "95%", "answers", "tokens", "limit", "loop", "rows", "peak KV", "tok/s"}) {
    header.emplace_back(name);
  }
  Table table(header);
  for (const std::string &policy : block.policies) table.add(row_of(block, policy));
  return table.str();
}

using Place = std::tuple<std::string, std::string, std::string>;  // tier, cache types, budget

std::string title_of(const Place &place) {
  const auto &[tier, types, budget] = place;
  return fmt::format("{}{}, types {}", tier.empty() ? "" : fmt::format("tier {}, ", tier),
                     budget == vase_policy_name(vase_policy_full())
                         ? "full cache"
                         : fmt::format("budget {}", budget),
                     types);
}

std::string comparison_table(const std::vector<Comparison> &comparisons) {
  Table table({"tier", "types", "budget", "policy", "against", "difference", "95%", "only it",
               "only base", "p", "test", "questions"},
              5);
  for (const Comparison &c : comparisons) {
    table.add({c.tier, c.cache_types, c.budget, c.policy, c.base,
               fmt::format("{:+.1f}", 100 * c.difference),
               fmt::format("{:+.1f} to {:+.1f}", 100 * c.interval.low, 100 * c.interval.high),
               fmt::format("{}", c.only_policy), fmt::format("{}", c.only_base),
               c.p_value ? fmt::format("{:.3g}", *c.p_value) : "-", c.p_value ? c.test : "-",
               fmt::format("{}", c.questions)});
  }
  return table.str();
}

}  // namespace

std::string as_tables(const eval::Summary &summary) {
  std::vector<std::pair<Place, Block>> blocks;
  for (const Cell &cell : summary.cells) {
    const Place place(cell.tier, cell.cache_types, cell.budget);
    if (blocks.empty() || blocks.back().first != place) blocks.emplace_back(place, Block());
    blocks.back().second.add(cell);
  }
  std::string text;
  for (const auto &[place, block] : blocks) {
    text += fmt::format("{}\n{}\n", title_of(place), table_of(block));
  }
  if (!summary.comparisons.empty()) {
    text += "paired, on the same questions; p is not corrected for the number of rows\n" +
            comparison_table(summary.comparisons);
  }
  return text;
}

void say_twice(const std::string &path, std::size_t count) {
  if (count == 0) return;
  fmt::print(stderr, "vase: {}: {} answers were there already and count once\n", path, count);
}

}  // namespace vase::cli
