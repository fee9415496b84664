// Answers that are words: yes or no, a name, sorted words, a weekday, a list.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace vase::eval {

/// Small letters, one space between words, without the marks of LaTeX and Markdown, quotes and a
/// full stop at the end; commas are spaces; \frac{a}{b} is a/b; no spaces beside brackets and
/// signs.
std::string plain_text(std::string_view text);

/// The answer as words: `expected` if it is that, else what was taken for it. Of the box, else the
/// answer tag, else behind the last "answer is" or "answer:", else the last lines (as many as
/// `expected` has). Of yes and no, true and false the first word counts.
std::optional<std::string> text_in(std::string_view reply, std::string_view expected);

}  // namespace vase::eval
