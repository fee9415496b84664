// Reads the final answer out of what a model wrote, and compares it.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace vase::tasks {

/// The content of the last \boxed{...} after </think>, without spaces around it. Nothing if the
/// model never closed its thinking (or opened it again) or gave no boxed answer.
std::optional<std::string> final_answer(std::string_view reply);

/// Whether the reply ends in this answer.
bool is_correct(std::string_view reply, std::string_view answer);

}  // namespace vase::tasks
