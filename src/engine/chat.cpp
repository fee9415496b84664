#include "engine/chat.hpp"

#include <algorithm>
#include <utility>

namespace vase::engine {
namespace {

std::int32_t apply(const std::string &chat_template, const std::vector<llama_chat_message> &chat,
                   bool open_answer, std::string &text) {
  return llama_chat_apply_template(chat_template.c_str(), chat.data(), chat.size(), open_answer,
                                   text.data(), static_cast<std::int32_t>(text.size()));
}

// Some templates trim what was said.
std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n";
  const auto first = text.find_first_not_of(kSpace);
  if (first == text.npos) return {};
  return text.substr(first, text.find_last_not_of(kSpace) - first + 1);
}

}  // namespace

ChatTemplate::ChatTemplate(std::string name_or_text) : template_(std::move(name_or_text)) {
  std::string unused;
  if (apply(template_, {{"user", "x"}}, true, unused) < 0) {
    throw Error(
        "llama.cpp does not know this chat template; --chat-template NAME picks one it knows "
        "(chatml, llama3, gemma, ...)");
  }
}

ChatTemplate ChatTemplate::of(const Model &model, const std::string &name_or_text) {
  if (!name_or_text.empty()) return ChatTemplate(name_or_text);
  auto own = model.chat_template();
  if (!own) {
    throw Error(
        "the model file has no chat template; --chat-template NAME picks one (chatml, llama3, "
        "gemma, ...), or use `vase run`, which completes plain text");
  }
  return ChatTemplate(std::move(*own));
}

std::string ChatTemplate::format(const std::vector<ChatMessage> &messages, bool open_answer) const {
  std::vector<llama_chat_message> chat;
  for (const ChatMessage &message : messages) {
    if (const std::size_t nul = message.content.find('\0'); nul != message.content.npos) {
      throw Error("the " + message.role + "'s message has a NUL byte at offset " +
                  std::to_string(nul) + ", and a chat template would end there; take it out");
    }
    chat.push_back({message.role.c_str(), message.content.c_str()});
  }
  std::string text;
  const std::int32_t length = apply(template_, chat, open_answer, text);
  if (length < 0) throw Error("the chat template cannot write this conversation");
  text.resize(static_cast<std::size_t>(length));
  apply(template_, chat, open_answer, text);
  return text;
}

Conversation::Conversation(ChatTemplate chat_template, std::string_view system)
    : template_(std::move(chat_template)) {
  if (!system.empty()) messages_.push_back({"system", std::string(system)});
}

std::string Conversation::ask(std::string_view message) {
  messages_.push_back({"user", std::string(message)});
  std::string all;
  try {
    all = template_.format(messages_, true);
  } catch (...) {
    messages_.pop_back();
    throw;
  }
  const std::size_t known = std::min(closed_size_, all.size());
  const std::string_view words = trimmed(message);
  const std::size_t at = all.rfind(words);
  opening_ = at == all.npos ? std::string() : all.substr(at + words.size());
  closed_before_ = std::exchange(closing_, {});
  return closed_before_ + all.substr(known);
}

void Conversation::take_back() {
  messages_.pop_back();
  closing_ = std::exchange(closed_before_, {});
}

void Conversation::cut_off() {
  const std::string opening = std::exchange(opening_, {});
  answered("");
  closing_.insert(0, opening);
}

void Conversation::answered(std::string_view answer) {
  const std::size_t opened_size = template_.format(messages_, true).size();
  messages_.push_back({"assistant", std::string(answer)});
  const std::string all = template_.format(messages_, false);
  // Behind what opened it, the template may have put a space before the answer, or trimmed it.
  std::size_t written = std::min(opened_size, all.size());
  for (std::string_view form : {answer, trimmed(answer)}) {
    const std::size_t at = all.find(form, written);
    if (at == all.npos) continue;
    written = at + form.size();
    break;
  }
  closing_ = all.substr(written);
  closed_size_ = all.size();
}

}  // namespace vase::engine
