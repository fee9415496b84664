#include "recall/text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "tasks/random.hpp"

namespace vase::recall {
namespace {

// A sentence among sentences.
std::vector<llama_token> tokens_of(const Fact &fact, const engine::Model &model) {
  return model.tokenize(" " + fact.sentence, false);
}

struct Planted {
  double place;
  std::vector<llama_token> tokens;
};

// By place; of one place in the order of the items.
std::vector<Planted> planted(const std::vector<Item> &items, const engine::Model &model) {
  std::vector<Planted> all;
  for (const Item &item : items) {
    for (const Fact &fact : item.facts) all.push_back({fact.place, tokens_of(fact, model)});
  }
  std::ranges::stable_sort(all, {}, &Planted::place);
  return all;
}

}  // namespace

std::int64_t fact_tokens(const Item &item, const engine::Model &model) {
  std::int64_t tokens = 0;
  for (const Fact &fact : item.facts) tokens += std::ssize(tokens_of(fact, model));
  return tokens;
}

Text make_text(TextParts parts, const Source &source, const engine::Model &model) {
  const std::vector<Planted> facts = planted(parts.items, model);
  std::int64_t filler = parts.length - std::ssize(parts.opening);
  for (const Planted &fact : facts) filler -= std::ssize(fact.tokens);
  if (filler <= 0) {
    throw Error(fmt::format("--lengths {}: what is planted there fills it; take a longer one",
                            parts.length));
  }
  Text text{.length = parts.length, .index = parts.index, .tokens = std::move(parts.opening)};
  text.opening = text.tokens.size();
  const std::size_t begin = source.begin_at(filler + parts.after, tasks::mix_bits(parts.seed));
  const std::size_t end = source.end_of(begin, filler);
  const auto append = [&text](const auto &tokens) {
    text.tokens.insert(text.tokens.end(), tokens.begin(), tokens.end());
  };
  const std::vector<std::int64_t> &before = source.tokens_before();
  std::size_t at = begin;
  for (const Planted &fact : facts) {
    const double target = static_cast<double>(before[begin]) +
                          fact.place * static_cast<double>(before[end] - before[begin]);
    std::size_t next = at;
    while (next < end && static_cast<double>(before[next]) < target) ++next;
    append(source.sentences(at, next));
    append(fact.tokens);
    at = next;
  }
  append(source.sentences(at, end));
  if (parts.after > 0) {
    // One sentence at least, however long.
    const std::size_t next = std::min(end + 1, before.size() - 1);
    const auto later = source.sentences(end, std::max(next, source.end_of(end, parts.after)));
    text.after.assign(later.begin(), later.end());
  }
  text.items = std::move(parts.items);
  return text;
}

}  // namespace vase::recall
