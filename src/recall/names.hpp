// Names, words and numbers for facts: made up, so that no novel has them.
#pragma once

#include <cstddef>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "tasks/random.hpp"

namespace vase::recall {

/// Of one text: what must be told apart is given once.
class Names {
 public:
  explicit Names(std::uint64_t seed) : random_(seed) {}

  std::string town();        ///< "Corwick", once
  std::string first_name();  ///< of a short list, so not once
  std::string last_name();   ///< "Belmere", once, and no town
  std::string variable();    ///< "KARO", once
  std::string coined();      ///< "zorvek", once
  std::string number();      ///< five digits, once
  /// Different goods, the same again for another caller.
  std::vector<std::string> goods(int count);
  /// A place in the text, from 2% to 98% of it.
  double place();
  /// One of `count` things of a kind, which it does not give again before it has given all.
  std::size_t once(const std::string &kind, std::size_t count);

 private:
  template <typename Make>
  std::string unused(const Make &make);

  tasks::Rng random_;
  std::set<std::string> used_;
  std::map<std::string, std::vector<std::size_t>> left_;  // by kind
};

}  // namespace vase::recall
