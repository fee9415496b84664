#include "recall/deal.hpp"

#include <fmt/format.h>

#include <optional>
#include <utility>

#include "tasks/random.hpp"

namespace vase::recall {
namespace {

constexpr std::int64_t kShare = 8;  // facts are this part of a text at most

struct Cell {
  const Category *category;
  double depth;
};

std::uint64_t seed_of(const Deal &deal, std::int64_t length, const char *what, int i) {
  return tasks::hash_text(fmt::format("{}/{}/{}/{}", deal.seed, length, what, i));
}

std::vector<Cell> cells_of(const Deal &deal) {
  std::vector<Cell> cells;
  for (const Category *category : deal.categories) {
    for (const double depth : deal.depths) cells.push_back({category, depth});
  }
  return cells;
}

Item make_item(const Cell &cell, Names &names, std::int64_t length) {
  Item item = cell.category->make({.names = names, .depth = cell.depth, .length = length});
  item.id = fmt::format("{}@{:g}", cell.category->name, cell.depth);
  item.category = cell.category->name;
  if (!cell.category->spread) item.depth = cell.depth;
  return item;
}

// Items of the text that is being filled.
struct Open {
  std::vector<Item> items;
  std::int64_t tokens = 0;
  Names names;
};

}  // namespace

std::vector<Text> make_texts(std::int64_t length, const Deal &deal,
                             const std::vector<Source> &sources, const Prompt &prompt,
                             const engine::Model &model) {
  const std::vector<llama_token> opening = prompt.opening();
  std::vector<Text> texts;
  const auto index = [&] { return static_cast<int>(texts.size()); };
  const auto new_text = [&] {
    return Open{.items = {}, .names = Names(seed_of(deal, length, "names", index()))};
  };
  const auto close = [&](Open &open) {
    TextParts parts{.length = length,
                    .index = index(),
                    .items = std::move(open.items),
                    .opening = opening,
                    .after = deal.after,
                    .seed = seed_of(deal, length, "source", index())};
    texts.push_back(make_text(std::move(parts), sources[texts.size() % sources.size()], model));
  };
  for (int round = 0; round < deal.items; ++round) {
    std::vector<Cell> cells = cells_of(deal);
    tasks::Rng(seed_of(deal, length, "order", round)).shuffle(cells);
    Open open = new_text();
    for (const Cell &cell : cells) {
      Item item = make_item(cell, open.names, length);
      std::int64_t tokens = fact_tokens(item, model);
      if (!open.items.empty() && open.tokens + tokens > length / kShare) {
        close(open);
        open = new_text();
        item = make_item(cell, open.names, length);
        tokens = fact_tokens(item, model);
      }
      open.tokens += tokens;
      open.items.push_back(std::move(item));
    }
    close(open);
  }
  return texts;
}

}  // namespace vase::recall
