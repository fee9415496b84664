#include "engine/stop_strings.hpp"

#include <algorithm>
#include <utility>

namespace vase::engine {
namespace {

// Length of the longest end of `text` that is a proper beginning of `string`.
std::size_t overlap(std::string_view text, std::string_view string) {
  for (std::size_t n = std::min(text.size(), string.size() - 1); n > 0; --n) {
    if (text.substr(text.size() - n) == string.substr(0, n)) return n;
  }
  return 0;
}

}  // namespace

StopStrings::StopStrings(std::vector<std::string> strings) : strings_(std::move(strings)) {
  std::erase_if(strings_, [](const std::string &string) { return string.empty(); });
}

std::string StopStrings::push(std::string_view text) {
  if (matched_) return {};
  held_.append(text);

  std::size_t first = std::string::npos;
  std::size_t keep = 0;
  for (const std::string &string : strings_) {
    first = std::min(first, held_.find(string));
    keep = std::max(keep, overlap(held_, string));
  }
  matched_ = first != std::string::npos;
  std::string released = held_.substr(0, matched_ ? first : held_.size() - keep);
  held_.erase(0, matched_ ? std::string::npos : released.size());
  return released;
}

std::string StopStrings::finish() { return std::exchange(held_, {}); }

}  // namespace vase::engine
