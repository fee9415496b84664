// Tells what a model said from what it thought before: only the former can hold its answer.
#pragma once

#include <string_view>

namespace vase::eval {

/// What stands behind the last thought: behind the last </think> or another mark that ends one
/// (those of gpt-oss, Magistral, Seed-OSS, Kimi, Command A, OpenThinker, and <thinking>, <thought>,
/// <reasoning>). All of the reply if there is no such mark. Nothing ("") if a thought was opened
/// and never closed: what was cut off while it was thinking holds no answer.
std::string_view after_thinking(std::string_view reply);

/// Whether `text` is part of a mark. Some models have control tokens for marks, which are no text
/// for a reader.
bool is_thought_mark(std::string_view text);

}  // namespace vase::eval
