#include "engine/chat.hpp"

#include <algorithm>
#include <exception>
#include <iterator>
#include <utility>

#include "engine/jinja_library.hpp"

namespace vase::engine {
namespace {

constexpr std::string_view kAnswer = "VaSE-in-place-of-the-answer";
constexpr std::string_view kMessage = "VaSE-in-place-of-the-message";

// ---- llama.cpp's fixed list ---------------------------------------------------------------------

std::vector<std::string> names_of_fixed() {
  std::vector<const char *> names(
      static_cast<std::size_t>(std::max(llama_chat_builtin_templates(nullptr, 0), 0)));
  llama_chat_builtin_templates(names.data(), names.size());
  return {names.begin(), names.end()};
}

class FixedWriter final : public ChatWriter {
 public:
  explicit FixedWriter(std::string name_or_text) : template_(std::move(name_or_text)) {}

  /// False if llama.cpp does not know it.
  bool known() const {
    std::string unused;
    return apply({{"user", "x"}}, true, unused) >= 0;
  }

  ChatPrompt write(const std::vector<ChatMessage> &messages, bool open_answer,
                   const TemplateVariables & /*it has none*/) const override {
    std::vector<llama_chat_message> chat;
    for (const ChatMessage &message : messages) {
      if (const std::size_t nul = message.content.find('\0'); nul != message.content.npos) {
        throw Error("the " + message.role + "'s message has a NUL byte at offset " +
                    std::to_string(nul) + ", and a chat template would end there; take it out");
      }
      chat.push_back({message.role.c_str(), message.content.c_str()});
    }
    ChatPrompt prompt;
    const std::int32_t length = apply(chat, open_answer, prompt.text);
    if (length < 0) throw Error("the chat template cannot write this conversation");
    prompt.text.resize(static_cast<std::size_t>(length));
    apply(chat, open_answer, prompt.text);
    return prompt;
  }

 private:
  std::int32_t apply(const std::vector<llama_chat_message> &chat, bool open_answer,
                     std::string &text) const {
    return llama_chat_apply_template(template_.c_str(), chat.data(), chat.size(), open_answer,
                                     text.data(), static_cast<std::int32_t>(text.size()));
  }

  std::string template_;
};

// ---- which one ----------------------------------------------------------------------------------

// What somebody else has thrown, in one line.
std::string in_one_line(const std::exception &error) {
  constexpr std::size_t kLongest = 300;
  std::string text = error.what();
  const auto is_break = [](char c) { return c == '\n' || c == '\r' || c == '\t'; };
  std::ranges::replace_if(text, is_break, ' ');
  const auto both_space = [](char a, char b) { return a == ' ' && b == ' '; };
  text.erase(std::unique(text.begin(), text.end(), both_space), text.end());
  if (text.size() > kLongest) text = text.substr(0, kLongest) + "...";
  return text;
}

bool is_name_of_fixed(const std::string &name) {
  const std::vector<std::string> names = names_of_fixed();
  return std::ranges::find(names, name) != names.end();
}

}  // namespace

void check_template(const std::string &name_or_text) {
  // A template's text has braces; a name has none.
  if (name_or_text.find('{') != name_or_text.npos || is_name_of_fixed(name_or_text)) return;
  std::string names;
  for (const std::string &one : names_of_fixed()) names += (names.empty() ? "" : ", ") + one;
  throw Error("--chat-template " + name_or_text + ": llama.cpp has none of that name (it has " +
              names + "), and a template in Jinja would have braces");
}

bool takes_jinja(const TemplateOptions &options) {
  return options.jinja && !is_name_of_fixed(options.name_or_text) &&
         jinja_library().library != nullptr;
}

ChatTemplate::ChatTemplate(std::shared_ptr<const ChatWriter> writer, TemplateVariables variables)
    : writer_(std::move(writer)), variables_(std::move(variables)), is_jinja_(true) {}

ChatTemplate::ChatTemplate(const std::string &name_or_text) {
  const auto writer = std::make_shared<FixedWriter>(name_or_text);
  if (!writer->known()) {
    throw Error(
        "llama.cpp's fixed list does not have this chat template; --chat-template NAME picks one "
        "that it has (chatml, llama3, gemma, ...)");
  }
  writer_ = writer;
}

ChatTemplate ChatTemplate::of(const Model &model, const TemplateOptions &options) {
  const std::string &given = options.name_or_text;
  if (!given.empty()) check_template(given);
  const std::optional<std::string> own = given.empty() ? model.chat_template() : given;
  if (!own) {
    throw Error(
        "the model file has no chat template; --chat-template NAME picks one (chatml, llama3, "
        "gemma, ...), or use `vase run`, which completes plain text");
  }
  // Some files of models have a name in the template's place.
  const bool is_name = is_name_of_fixed(*own);
  if (takes_jinja(options) && !is_name) {
    try {
      return {jinja_library().library->open(model.get(), given), options.variables};
    } catch (const std::exception &error) {
      throw Error("the chat template cannot be read: " + in_one_line(error) +
                  "; --chat-template NAME picks another one (chatml, llama3, gemma, ...)");
    }
  }
  ChatTemplate result(*own);
  const std::string why = is_name         ? *own + " is of llama.cpp's fixed list"
                          : options.jinja ? jinja_library().why
                                          : "--no-jinja was given";
  if (!options.variables.empty()) {
    throw Error("--chat-template-kwargs and --reasoning are for chat templates in Jinja, and " +
                why);
  }
  if (options.jinja && !is_name) {
    result.note_ = "chat templates are those of llama.cpp's fixed list, for " + why;
  }
  return result;
}

ChatPrompt ChatTemplate::write(const std::vector<ChatMessage> &messages, bool open_answer,
                               const TemplateVariables &variables) const {
  TemplateVariables all = variables;
  all.insert(variables_.begin(), variables_.end());
  try {
    return writer_->write(messages, open_answer, all);
  } catch (const Error &) {
    throw;
  } catch (const std::exception &error) {
    throw Error("the chat template cannot write this conversation: " + in_one_line(error));
  }
}

// ---- turn by turn -------------------------------------------------------------------------------

Conversation::Conversation(ChatTemplate chat_template, std::string_view system)
    : template_(std::move(chat_template)) {
  if (!system.empty()) messages_.push_back({"system", std::string(system)});
}

std::string Conversation::behind(std::string_view stand_in) const {
  const std::string all = template_.format(messages_, true);
  const std::size_t at = all.rfind(stand_in);
  if (at == all.npos) {
    throw Error("the chat template leaves out what was said: no conversation can go on with it");
  }
  return all.substr(at + stand_in.size());
}

std::string Conversation::ask(std::string_view message) {
  const bool first =
      std::ranges::none_of(messages_, [](const ChatMessage &m) { return m.role == "assistant"; });
  messages_.push_back({"user", std::string(message)});
  try {
    return first ? template_.format(messages_, true) : cut_off_ + behind(kAnswer);
  } catch (...) {
    messages_.pop_back();
    throw;
  }
}

void Conversation::take_back() { messages_.pop_back(); }

void Conversation::cut_off() {
  messages_.back().content = kMessage;
  const std::string rest = behind(kMessage);
  answered();
  cut_off_ = rest;
}

void Conversation::answered() {
  messages_.push_back({"assistant", std::string(kAnswer)});
  cut_off_.clear();
}

}  // namespace vase::engine
