// Reads the final answer out of what a model wrote.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace vase::eval {

/// What stands behind the last </think>; all of the reply if there is no such mark.
std::string_view after_thinking(std::string_view reply);

/// The content of the last \boxed{...} (or \fbox{...}) whose braces match, without spaces around
/// it. Nothing if there is none.
std::optional<std::string> last_boxed(std::string_view text);

/// A number as one text per value: "$1,024.50" -> "1024.5", "007" -> "7", "-0" -> "0", "50%" ->
/// "50". Nothing if `text` is not one decimal number with such ornaments.
std::optional<std::string> parse_number(std::string_view text);

/// The answer as a number: of the box, else the last number after the thinking.
std::optional<std::string> number_in(std::string_view reply);

/// The answer as a letter: of the box, else of the last "answer is (C)".
std::optional<std::string> choice_in(std::string_view reply);

}  // namespace vase::eval
