// Says, once, that a text is longer than those that the model was trained on.
#pragma once

#include <cstdint>
#include <string_view>

namespace vase::cli {

class TrainingLength {
 public:
  /// Prints a line on stderr if `tokens` are more than `trained` and none was printed before.
  /// `text_has` begins it: "the text has".
  void check(std::string_view text_has, std::int64_t tokens, std::int64_t trained);
  bool said() const { return said_; }

 private:
  bool said_ = false;
};

}  // namespace vase::cli
