// What to say where a text is longer than those that the model was trained on.
#ifndef VASE_CORE_TRAINING_LENGTH_HPP
#define VASE_CORE_TRAINING_LENGTH_HPP

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace vase {

/// One line without an end for a text of `tokens` under a model trained on texts of `trained`
/// tokens; "" if it is not longer, or nobody knows (`trained` below 1). `text_has` begins it: "the
/// text has", "the text may come to". The bound changes nothing here: positions go on beyond what
/// the model has seen.
inline std::string beyond_training(std::string_view text_has, std::int64_t tokens,
                                   std::int64_t trained) {
  if (trained < 1 || tokens <= trained) return {};
  const auto grouped = [](std::int64_t number) {
    std::string digits = std::to_string(number);
    for (auto at = static_cast<std::ptrdiff_t>(digits.size()) - 3; at > 0; at -= 3)
      digits.insert(static_cast<std::size_t>(at), 1, ',');
    return digits;
  };
  return std::string(text_has) + ' ' + grouped(tokens) +
         " tokens, and the model was trained on texts of " + grouped(trained) +
         " tokens: what it writes beyond that may be noise";
}

}  // namespace vase

#endif
