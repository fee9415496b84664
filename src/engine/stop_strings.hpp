// Ends a text at the first of some strings, while it is still being written.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace vase::engine {

/// Passes text through, except what may be the beginning of a stop string: that is held back until
/// it is known whether the string completes.
class StopStrings {
 public:
  StopStrings() = default;
  /// Empty strings are ignored.
  explicit StopStrings(std::vector<std::string> strings);

  /// Appends text; returns what is certain to come before any stop string.
  std::string push(std::string_view text);
  /// True once a stop string was seen. Nothing is returned any more then.
  bool matched() const { return matched_; }
  /// Ends the text: returns what was held back.
  std::string finish();

 private:
  std::vector<std::string> strings_;
  std::string held_;
  bool matched_ = false;
};

}  // namespace vase::engine
