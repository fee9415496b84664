// write_prompt MODEL: reads a JSON array of {"messages": [...], "variables": {...}, "template":
// FILE, if not the model's own} and writes what each comes to: {"prompt", "tokens"}, or {"error"}.
#include <cstdio>
#include <exception>
#include <fstream>
#include <iostream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "engine/chat.hpp"
#include "engine/log.hpp"
#include "engine/model.hpp"

namespace {

using vase::engine::ChatMessage;
using vase::engine::ChatTemplate;
using vase::engine::TemplateVariables;

nlohmann::json written(const vase::engine::Model &model, const nlohmann::json &asked) {
  try {
    std::string text;  // "": the model's own
    if (asked.contains("template")) {
      std::ifstream file(asked.at("template").get<std::string>(), std::ios::binary);
      text.assign(std::istreambuf_iterator<char>(file), {});
    }
    std::vector<ChatMessage> messages;
    for (const auto &message : asked.at("messages"))
      messages.push_back({.role = message.at("role"),
                          .content = message.at("content"),
                          .reasoning = message.value("reasoning_content", "")});
    TemplateVariables variables;
    for (const auto &[name, value] : asked.at("variables").items()) variables[name] = value.dump();
    const auto chat_template = ChatTemplate::of(model, {.name_or_text = text});
    const std::string prompt = chat_template.write(messages, true, variables).text;
    return {{"prompt", prompt}, {"tokens", model.tokenize(prompt)}};
  } catch (const std::exception &error) {
    return {{"error", error.what()}};
  }
}

}  // namespace

int main(int argc, char **argv) {
  try {
    if (argc != 2) throw vase::Error("usage: write_prompt MODEL < requests");
    vase::engine::init_llama(false);
    const vase::engine::Model model({.path = argv[1]});
    nlohmann::json answers = nlohmann::json::array();
    for (const auto &asked : nlohmann::json::parse(std::cin))
      answers.push_back(written(model, asked));
    std::cout << answers.dump() << '\n';
    return 0;
  } catch (const std::exception &error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
