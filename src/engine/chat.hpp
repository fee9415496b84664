// A conversation as the model wants it written.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/chat_writer.hpp"
#include "engine/model.hpp"

namespace vase::engine {

struct TemplateOptions {
  /// llama.cpp's name of a template ("chatml"), or a template's text; "": the model's own.
  std::string name_or_text = {};
  bool jinja = true;  ///< false: only what is in llama.cpp's fixed list
  TemplateVariables variables = {};
};

/// Throws Error if it is neither a name that llama.cpp has nor a template's text.
void check_template(const std::string &name_or_text);

/// Whether they come to a template in Jinja, in this build.
bool takes_jinja(const TemplateOptions &options);

class ChatTemplate {
 public:
  /// Throws Error if the model has none, or if it cannot be read.
  static ChatTemplate of(const Model &model, const TemplateOptions &options = {});
  /// One of llama.cpp's fixed list, by its name or by a text that llama.cpp takes for it. Throws as
  /// above.
  explicit ChatTemplate(const std::string &name_or_text);

  /// `open_answer`: end with what comes before the assistant's next words. `variables` go before
  /// those of the options. Throws Error if the template cannot write this.
  ChatPrompt write(const std::vector<ChatMessage> &messages, bool open_answer,
                   const TemplateVariables &variables = {}) const;
  /// The same, the text alone.
  std::string format(const std::vector<ChatMessage> &messages, bool open_answer) const {
    return write(messages, open_answer).text;
  }

  /// Whether it is in Jinja, and so has variables.
  bool is_jinja() const { return is_jinja_; }
  /// Why a template of the fixed list was taken, if not by its name; "" else.
  const std::string &note() const { return note_; }

 private:
  ChatTemplate(std::shared_ptr<const ChatWriter> writer, TemplateVariables variables);

  std::shared_ptr<const ChatWriter> writer_;
  TemplateVariables variables_;
  bool is_jinja_ = false;
  std::string note_;
};

/// Turns a growing conversation into the pieces of text that must be appended to the cache, so
/// that nothing is read twice. What the model has said does not matter: a template is asked what it
/// writes behind words that stand in for it.
class Conversation {
 public:
  /// `system`: the system message; "" for none.
  Conversation(ChatTemplate chat_template, std::string_view system);

  /// The text to append for a new message of the user, up to where the answer begins.
  std::string ask(std::string_view message);
  /// Takes the last message back: it never reached the cache.
  void take_back();
  /// Takes the last message back although the cache holds its beginning, which the next ask()
  /// closes, with an empty answer.
  void cut_off();
  /// Says that the model's answer is in the cache, without the token that ended it.
  void answered();

 private:
  /// What the template writes behind the last `stand_in`.
  std::string behind(std::string_view stand_in) const;

  ChatTemplate template_;
  std::vector<ChatMessage> messages_;
  std::string cut_off_;  // the rest of a message that the cache holds the beginning of
};

}  // namespace vase::engine
