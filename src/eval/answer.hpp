// Reads the final answer out of what a model wrote. What loops writes long runs of anything, so all
// of this takes time and memory in proportion to the text.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace vase::eval {

/// The content of every \boxed{...} and \fbox{...} whose braces match, in order, without spaces
/// around it. Of boxes inside a box only the innermost count.
std::vector<std::string> all_boxed(std::string_view text);

/// The content of the last \boxed{...} (or \fbox{...}), as above. Nothing if there is none, or if
/// the last one never closes.
std::optional<std::string> last_boxed(std::string_view text);

/// The content of the last <answer>...</answer>, in whatever case; up to the end of its line if it
/// never closes. Nothing if there is none.
std::optional<std::string> last_tagged(std::string_view text);

/// A number as one text per value: "$1,024.50" -> "1024.5", "007" -> "7", "-0" -> "0", "50%" ->
/// "50". Nothing if `text` is not one decimal number with such ornaments.
std::optional<std::string> parse_number(std::string_view text);

/// The answer as a number: of the box ("x = 18 dollars" is 18 there), else of the answer tag, else
/// the last number after the thinking.
std::optional<std::string> number_in(std::string_view reply);

/// The answer as words in small letters, without marks around them: of the box, else of the answer
/// tag, else the whole reply after the thinking. Nothing if no word is there.
std::optional<std::string> words_in(std::string_view reply);

/// The answer as a letter or digit that names a choice: of the box, else of the answer tag, else of
/// the last "answer is (C)", else the whole reply.
std::optional<std::string> choice_in(std::string_view reply);

}  // namespace vase::eval
