// A long text with facts in it, as tokens.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/model.hpp"
#include "recall/item.hpp"
#include "recall/source.hpp"

namespace vase::recall {

/// What is read: the opening, the text with its facts, and what comes behind them later.
struct Text {
  std::int64_t length = 0;  ///< tokens that were asked for
  int index = 0;            ///< among the texts of that length
  std::vector<Item> items = {};
  std::vector<llama_token> tokens = {};  ///< of opening, sentences and facts: at most `length`
  std::size_t opening = 0;               ///< of these, the first: what says what is to be done
  std::vector<llama_token> after = {};   ///< of the same source, read on later; no facts
};

/// What a text is made of.
struct TextParts {
  std::int64_t length = 0;
  int index = 0;
  std::vector<Item> items = {};
  std::vector<llama_token> opening = {};
  std::int64_t after = 0;  ///< tokens to read on later, up to a sentence's end
  std::uint64_t seed = 0;  ///< draws where in the source it begins
};

/// Puts each fact before the sentence nearest to its place. Throws Error if the source is too
/// short, or the facts fill the length.
Text make_text(TextParts parts, const Source &source, const engine::Model &model);

/// Tokens of an item's facts, as they stand in a text.
std::int64_t fact_tokens(const Item &item, const engine::Model &model);

}  // namespace vase::recall
