// A conversation as the model wants it written.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "engine/model.hpp"

namespace vase::engine {

struct ChatMessage {
  std::string role;  ///< "system", "user" or "assistant"
  std::string content;
};

class ChatTemplate {
 public:
  /// The model's own template, or, if `name_or_text` is not empty, that one. Throws Error if the
  /// model has none or if llama.cpp does not know it.
  static ChatTemplate of(const Model &model, const std::string &name_or_text = {});
  /// A template by llama.cpp's name for it ("chatml") or by its text. Throws as above.
  explicit ChatTemplate(std::string name_or_text);

  /// `open_answer`: end with what comes before the assistant's next words. Throws Error if a
  /// message holds a NUL byte, at which llama.cpp's templates would end it.
  std::string format(const std::vector<ChatMessage> &messages, bool open_answer) const;

 private:
  std::string template_;
};

/// Turns a growing conversation into the pieces of text that must be appended to the cache, so
/// that nothing is read twice.
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
  /// Says what the model answered, which is in the cache, without the token that ended it.
  void answered(std::string_view answer);

 private:
  ChatTemplate template_;
  std::vector<ChatMessage> messages_;
  std::string opening_;          // what the template wrote after the last message, up to the answer
  std::string closed_before_;    // closing_ before the last ask()
  std::string closing_;          // what the template writes after the answer, not in the cache yet
  std::size_t closed_size_ = 0;  // of the text up to there
};

}  // namespace vase::engine
