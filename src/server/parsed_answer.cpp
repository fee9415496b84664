#include "server/parsed_answer.hpp"

#include <algorithm>
#include <exception>
#include <utility>

namespace vase::server {
namespace {

bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

// No mark begins with this, and none is left out before one: parsers drop space there.
bool is_plain(std::string_view text) {
  return !text.empty() && is_letter(text.back()) &&
         std::ranges::all_of(text, [](char c) { return is_letter(c) || c == ' ' || c == ','; });
}

// What has come to `told`.
std::string grown(std::string &told, std::string now) {
  if (!now.starts_with(told)) return {};
  std::string more = now.substr(told.size());
  told = std::move(now);
  return more;
}

}  // namespace

ParsedAnswer::ParsedAnswer(std::shared_ptr<const engine::AnswerParser> parser, bool begins_inside)
    : parser_(std::move(parser)), begins_inside_(begins_inside) {}

bool ParsedAnswer::reasoning() const {
  return told_.content.empty() && (begins_inside_ || !told_.reasoning.empty());
}

// The part that the answer's end belongs to; null: that is not known.
std::string *ParsedAnswer::open_part() {
  if (!told_.content.empty()) return &told_.content;
  return told_.reasoning.empty() ? nullptr : &told_.reasoning;
}

SplitText ParsedAnswer::push(std::string_view text) {
  const bool settled = settled_ == answer_.size();
  answer_ += text;
  std::string *part = open_part();
  if (!settled || part == nullptr || !is_plain(text)) return advance(false);
  *part += text;
  settled_ = answer_.size();
  SplitText out;
  (part == &told_.content ? out.content : out.reasoning) = text;
  return out;
}

SplitText ParsedAnswer::finish() { return advance(true); }

SplitText ParsedAnswer::advance(bool whole) {
  SplitText out;
  try {
    SplitText now = parser_->parse(answer_, whole);
    out.reasoning = grown(told_.reasoning, std::move(now.reasoning));
    out.content = grown(told_.content, std::move(now.content));
  } catch (const std::exception &) {
    // Behind a piece more it may be readable.
    if (whole) out.content = answer_.substr(settled_);
    return out;
  }
  constexpr std::size_t kEnd = 32;  // longer than any mark that may have begun behind the part
  if (const std::string *part = open_part()) {
    const std::string_view all = *part;
    const std::string_view end = all.substr(all.size() - std::min(all.size(), kEnd));
    if (answer_.ends_with(end)) settled_ = answer_.size();
  }
  return out;
}

}  // namespace vase::server
