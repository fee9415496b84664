// Several questions in one conversation: packed into one prompt, or one a turn.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "eval/question.hpp"

namespace vase::eval {

/// How questions are put together.
struct Packing {
  int size = 0;            ///< questions of a conversation
  int count = 0;           ///< conversations of each task, at most
  std::uint64_t seed = 0;  ///< of the order in which questions are drawn, without replacement
  /// Where to put an answer, instead of what the grader wants. The questions come without one.
  std::optional<std::string> instruction = {};
};

/// `size` questions in one prompt, numbered, each with a box of its own. The tier is "pack8".
/// Throws Error if a task has fewer than `size` questions.
std::vector<Question> pack(const std::vector<Question> &questions, const Packing &packing);

/// `size` questions one after the other in one conversation, then look-backs at the first half of
/// them (look_back.hpp). The tier is "turns8". Throws Error likewise.
std::vector<Question> take_in_turns(const std::vector<Question> &questions, const Packing &packing);

/// The part of `reply` that answers each of `count` packed questions: what stands below its number
/// ("Question 3", "3."), if the reply numbers its answers; else the k-th box alone. "" where there
/// is none.
std::vector<std::string> parts_of(std::string_view reply, std::size_t count);

}  // namespace vase::eval
