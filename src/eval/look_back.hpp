// Turns that ask for what was said long before: does it still stand in the cache?
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "eval/question.hpp"

namespace vase::eval {

/// Look-backs at the first half of a conversation's turns, in random order: "result" asks for the
/// final answer that the model gave, "number" and "name" for a word that is left out of a sentence
/// of the question, which is quoted. Two of each kind where the questions have them. `texts`: of
/// the turns, as they were published. `seed`: which ones. (A model can repeat what it can still
/// read; it cannot guess it.)
std::vector<Question> look_backs(const Question &conversation,
                                 const std::vector<std::string> &texts, std::uint64_t seed);

}  // namespace vase::eval
