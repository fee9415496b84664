// Answers that say several things by name: who is a knight and who is a knave; the nodes on a
// stack.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace vase::eval {

/// "knight|knave: Zoey=knave; Ella=knight" for names that each have one of the roles, "node=3;
/// stack=0 1 3" for names that have numbers.
struct Assignment {
  std::vector<std::string> roles;
  std::vector<std::pair<std::string, std::string>> values;
};
std::string text_of(const Assignment &assignment);
Assignment parse_assignment(std::string_view text);

/// What a reply assigns to the names of `expected`, in the same words and order, so that a right
/// answer is equal to it; "?" for a name of which nothing is said. Read are all boxes, else the
/// answer tag, else all that was said after the thinking; what is said last of a name counts.
/// Nothing if no name has a value.
std::optional<std::string> assignment_in(std::string_view reply, std::string_view expected);

}  // namespace vase::eval
