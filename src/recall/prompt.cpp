#include "recall/prompt.hpp"

#include <utility>

namespace vase::recall {
namespace {

// Stands for the text while a template is filled.
constexpr std::string_view kText = "[[the text goes here]]";

constexpr std::string_view kTask =
    "Some facts stand in the following text, between sentences that have nothing to do with them. "
    "Read the text and remember the facts. Then answer the question behind the text, briefly.\n\n";

}  // namespace

Prompt::Prompt(const engine::Model &model, std::optional<engine::ChatTemplate> chat_template,
               std::string system)
    : model_(model), template_(std::move(chat_template)), system_(std::move(system)) {}

std::pair<std::string, std::string> Prompt::around_text(const std::string &question) const {
  std::string all = std::string(kTask) + std::string(kText) + "\n\nQuestion: " + question;
  if (template_) {
    std::vector<engine::ChatMessage> messages;
    if (!system_.empty()) messages.push_back({"system", system_});
    messages.push_back({"user", std::move(all)});
    all = template_->format(messages, true);
  } else {
    all += "\nAnswer:";
  }
  const std::size_t at = all.find(kText);
  if (at == all.npos) throw Error("the chat template does not write what the user says");
  return {all.substr(0, at), all.substr(at + kText.size())};
}

std::vector<llama_token> Prompt::opening() const { return model_.tokenize(around_text("").first); }

std::vector<llama_token> Prompt::question(const std::string &question) const {
  return model_.tokenize(around_text(question).second, false);
}

std::vector<std::string> Prompt::stop() const {
  return template_ ? std::vector<std::string>{} : std::vector<std::string>{"\n"};
}

}  // namespace vase::recall
