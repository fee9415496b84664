// Where the prompt comes from.
#pragma once

#include <optional>
#include <string>

namespace vase::cli {

/// `text`: -p; `file`: -f, "-" for the standard input. With neither, the standard input if it is
/// not a terminal. A newline at the end of a file is not part of the prompt. Throws Error if there
/// is no prompt, or an empty one, or one that is not UTF-8.
std::string read_prompt(const std::optional<std::string> &text,
                        const std::optional<std::string> &file);

}  // namespace vase::cli
