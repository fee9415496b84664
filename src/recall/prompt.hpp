// What the user says, in the model's chat format if it has one.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "engine/chat.hpp"
#include "engine/model.hpp"

namespace vase::recall {

class Prompt {
 public:
  /// Both must outlive this. `chat_template`: nothing for a model that completes plain text.
  Prompt(const engine::Model &model, std::optional<engine::ChatTemplate> chat_template,
         std::string system);

  /// All up to the text: what is to be done, and how the user's turn begins.
  std::vector<llama_token> opening() const;
  /// All behind the text: the question, and how the answer begins.
  std::vector<llama_token> question(const std::string &question) const;
  /// What ends an answer beside the model's own end: a line, where nothing else would.
  std::vector<std::string> stop() const;

 private:
  std::pair<std::string, std::string> around_text(const std::string &question) const;

  const engine::Model &model_;
  std::optional<engine::ChatTemplate> template_;
  std::string system_;
};

}  // namespace vase::recall
