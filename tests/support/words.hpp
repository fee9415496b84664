// Text as numbers, for what looks at tokens alone.
#ifndef VASE_TESTS_SUPPORT_WORDS_HPP
#define VASE_TESTS_SUPPORT_WORDS_HPP

#include <cstdint>
#include <iterator>
#include <map>
#include <regex>
#include <string>
#include <vector>

namespace vase::testing {

/// Words, digits and signs as numbers, nearly as the tokeniser splits our tasks' text.
inline std::vector<std::int32_t> tokens_of(const std::string &text) {
  std::map<std::string, std::int32_t> numbers;
  std::vector<std::int32_t> tokens;
  static const std::regex kToken(" ?[A-Za-z]+|[0-9]| ?[^ A-Za-z0-9]| ");
  for (std::sregex_iterator it(text.begin(), text.end(), kToken), end; it != end; ++it)
    tokens.push_back(
        numbers.emplace(it->str(), static_cast<std::int32_t>(numbers.size())).first->second);
  return tokens;
}

}  // namespace vase::testing

#endif
