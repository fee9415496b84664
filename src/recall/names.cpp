#include "recall/names.hpp"

#include <algorithm>
#include <numeric>

#include "vase/llama.hpp"

namespace vase::recall {
namespace {

using Words = std::vector<std::string>;

const Words &first_names() {
  static const Words list = {"Clara", "Ivo",  "Marta", "Hugo", "Selma", "Bruno",  "Edith", "Oskar",
                             "Nora",  "Karl", "Greta", "Emil", "Hanna", "Viktor", "Lotte", "Anton"};
  return list;
}

const Words &first_syllables() {
  static const Words list = {"Bel", "Cor", "Dun", "Fen",  "Gal",  "Hol",  "Kar",
                             "Lor", "Mar", "Nor", "Pel",  "Ros",  "Sel",  "Tor",
                             "Val", "Wen", "Ash", "Bram", "Crom", "Thorn"};
  return list;
}

const Words &endings() {
  static const Words list = {"bridge", "by",   "dale", "field", "ford", "ham",   "ley",
                             "mere",   "stow", "ton",  "well",  "wick", "worth", "gate"};
  return list;
}

}  // namespace

// Draws until it is new. The lists are much longer than what one text can hold of them.
template <typename Make>
std::string Names::unused(const Make &make) {
  constexpr int kTries = 10000;
  for (int i = 0; i < kTries; ++i) {
    std::string name = make();
    if (used_.insert(name).second) return name;
  }
  throw Error("a text takes no more different names: ask for fewer --depths or --categories");
}

std::string Names::town() {
  return unused([&] { return random_.pick(first_syllables()) + random_.pick(endings()); });
}

std::string Names::first_name() { return random_.pick(first_names()); }

std::string Names::last_name() { return town(); }

std::string Names::variable() {
  static const Words first = {"KA", "MO", "TE", "RU", "SI", "DO", "LA", "NE", "PU", "VI"};
  static const Words second = {"RO", "BU", "SU", "LI", "NA", "GO", "TA", "ME", "XI", "ZO"};
  return unused([&] { return random_.pick(first) + random_.pick(second); });
}

std::string Names::coined() {
  static const Words first = {"zor", "mib", "tal", "quin", "pash",
                              "gru", "hev", "lun", "brak", "sto"};
  static const Words second = {"vek", "ona", "dru", "lim", "tep",
                               "gar", "fis", "nuk", "rol", "bax"};
  return unused([&] { return random_.pick(first) + random_.pick(second); });
}

std::string Names::number() {
  return unused([&] { return std::to_string(random_.between(10000, 99999)); });
}

std::vector<std::string> Names::goods(int count) {
  static const Words list = {"apples", "candles", "cheese",  "cherries", "eggs",
                             "flour",  "garlic",  "herring", "honey",    "lamps",
                             "lemons", "olives",  "onions",  "pears",    "pepper",
                             "plums",  "ropes",   "salt",    "soap",     "tea"};
  return random_.sample(list, count);
}

double Names::place() { return 0.02 + 0.96 * random_.between(0, 10000) / 10000; }

std::size_t Names::once(const std::string &kind, std::size_t count) {
  std::vector<std::size_t> &left = left_[kind];
  if (left.empty()) {
    left.resize(count);
    std::iota(left.begin(), left.end(), std::size_t{0});
    random_.shuffle(left);
  }
  const std::size_t given = left.back();
  left.pop_back();
  return given;
}

}  // namespace vase::recall
