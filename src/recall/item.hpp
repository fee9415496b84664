// One thing that is planted in a text and asked for afterwards.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace vase::recall {

/// A sentence of our own, and where in the text it is to stand: 0 is the beginning, 1 the end.
struct Fact {
  double place = 0;
  std::string sentence;
};

struct Item {
  std::string id = {};        ///< unique in its text: "needle@0.5"
  std::string category = {};  ///< its name
  /// Where its first fact stands; nothing for what is spread over the whole text.
  std::optional<double> depth = {};
  std::vector<Fact> facts = {};
  std::string question = {};
  std::vector<std::string> expected = {};  ///< numbers or words, all of which the answer must have
  std::vector<std::string> wrong = {};     ///< of which it must have none
};

}  // namespace vase::recall
