// Public puzzles whose answers are more than one word: knights and knaves, countdown, and the
// states of a depth-first search.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

#include "eval/question.hpp"

namespace vase::eval {

/// Reads one object. Nothing if it is none of these: "quiz", "names" and "solution" (knights and
/// knaves); "question" and "nums", or a reasoning-gym task of such a name (countdown, puzzle24,
/// knights_knaves); "graph", "start_node" and "steps" (TriAttention's state queries, which have no
/// text of their own: ours is put in its place). Throws Error or nlohmann::json::exception if a
/// field is not as it should be.
std::optional<Question> read_puzzle(const nlohmann::json &object, const std::string &task);

/// Whether it is of a reasoning-gym task with many right answers, which comparing with the one that
/// the file has cannot grade.
bool has_many_answers(const nlohmann::json &object);

}  // namespace vase::eval
