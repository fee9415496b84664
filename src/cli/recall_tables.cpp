#include "cli/recall_tables.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <utility>
#include <vector>

#include "cli/table.hpp"
#include "cli/units.hpp"
#include "vase/vase.h"

namespace vase::cli {
namespace {

using recall::Cell;
using recall::Comparison;
using recall::Place;

std::string percent(double share) { return fmt::format("{:.0f}", 100 * share); }

std::string title_of(const Place &place) {
  const bool full = place.budget == vase_policy_name(vase_policy_full());
  return fmt::format(
      "{} tokens, {}, types {}, {}", with_commas(place.length),
      full ? "full cache" : fmt::format("budget {}", place.budget), place.cache_types,
      place.after == 0 ? "asked at once"
                       : fmt::format("asked after {} more tokens", with_commas(place.after)));
}

// "needle"; of a depth "@0.5".
std::string column_of(const Cell &cell) {
  return cell.depth ? fmt::format("@{:g}", *cell.depth) : cell.category;
}

// Cells of one place: rows are policies, columns categories and depths.
struct Block {
  std::vector<std::string> policies, columns;
  std::map<std::pair<std::string, std::string>, const Cell *> cells;

  void add(const Cell &cell) {
    const auto add_once = [](std::vector<std::string> &names, const std::string &name) {
      if (std::ranges::find(names, name) == names.end()) names.push_back(name);
    };
    add_once(policies, cell.policy);
    add_once(columns, column_of(cell));
    cells[{cell.policy, column_of(cell)}] = &cell;
  }
};

std::string table_of(const Block &block) {
  std::vector<std::string> header = {"policy"};
  header.insert(header.end(), block.columns.begin(), block.columns.end());
  header.insert(header.end(), {"95%", "found", "answers", "texts"});
  Table table(header);
  for (const std::string &policy : block.policies) {
    std::vector<std::string> row = {policy};
    for (const std::string &column : block.columns) {
      const auto cell = block.cells.find({policy, column});
      row.push_back(cell == block.cells.end() ? "-" : percent(cell->second->right));
    }
    const Cell &all = *block.cells.at({policy, "all"});
    row.push_back(fmt::format("{}-{}", percent(all.interval.low), percent(all.interval.high)));
    row.push_back(percent(all.fraction));
    row.push_back(with_commas(all.answers));
    row.push_back(with_commas(all.texts));
    table.add(std::move(row));
  }
  return table.str();
}

std::string comparison_table(const std::vector<Comparison> &comparisons) {
  Table table({"tokens", "types", "budget", "after", "policy", "against", "difference", "95%",
               "only it", "only base", "p", "answers", "texts"},
              6);
  for (const Comparison &c : comparisons) {
    table.add({with_commas(c.place.length), c.place.cache_types, c.place.budget,
               with_commas(c.place.after), c.policy, c.base,
               fmt::format("{:+.1f}", 100 * c.difference),
               fmt::format("{:+.1f} to {:+.1f}", 100 * c.interval.low, 100 * c.interval.high),
               with_commas(c.only_policy), with_commas(c.only_base),
               fmt::format("{:.3g}", c.p_value), with_commas(c.answers), with_commas(c.texts)});
  }
  return table.str();
}

}  // namespace

std::string as_tables(const recall::Summary &summary) {
  std::vector<std::pair<std::string, Block>> blocks;
  for (const Cell &cell : summary.cells) {
    const std::string title = title_of(cell.place);
    if (blocks.empty() || blocks.back().first != title) blocks.emplace_back(title, Block());
    blocks.back().second.add(cell);
  }
  std::string text;
  for (const auto &[title, block] : blocks) text += fmt::format("{}\n{}\n", title, table_of(block));
  if (!summary.comparisons.empty()) {
    text +=
        "paired, on the same questions; p by sign flips over the texts, not corrected for the "
        "number of rows\n" +
        comparison_table(summary.comparisons);
  }
  return text;
}

}  // namespace vase::cli
