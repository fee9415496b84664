#include "cli/chat_arguments.hpp"

#include <fmt/format.h>

#include <cstdio>
#include <nlohmann/json.hpp>

#include "eval/fingerprint.hpp"
#include "eval/text_file.hpp"

namespace vase::cli {
namespace {

constexpr const char *kGroup = "Chat template";

engine::TemplateVariables variables_of(const std::string &text) {
  engine::TemplateVariables variables;
  if (text.empty()) return variables;
  const auto json = nlohmann::json::parse(text, nullptr, false);
  if (!json.is_object()) {
    throw Error(fmt::format(
        "--chat-template-kwargs must be a JSON object, as {{\"enable_thinking\": false}}, not {}",
        text));
  }
  for (const auto &[name, value] : json.items()) variables[name] = value.dump();
  return variables;
}

}  // namespace

void ChatArguments::add_to(CLI::App &app) {
  const auto option = [&](const char *name, auto &value, const char *help) {
    return app.add_option(name, value, help)->group(kGroup);
  };
  CLI::Option *text = option("--chat-template", name_or_text,
                             "llama.cpp's name of a chat template, or one in Jinja (default: the "
                             "model's own)");
  option("--chat-template-file", file, "file of a chat template in Jinja")
      ->type_name("FILE")
      ->excludes(text);
  option("--chat-template-kwargs", variables,
         "variables of the template, as a JSON object: {\"enable_thinking\": false}")
      ->type_name("JSON");
  option("--reasoning,--rea", reasoning,
         "on or off: the template's enable_thinking; auto: on where it has that")
      ->check(CLI::IsMember({"on", "off", "auto"}))
      ->capture_default_str();
  app.add_flag("--no-jinja,!--jinja", no_jinja,
               "take the template of llama.cpp's fixed list that resembles the model's most")
      ->group(kGroup);
}

engine::TemplateOptions ChatArguments::options(const ModelArguments &model) const {
  engine::TemplateOptions options{
      .name_or_text = name_or_text, .jinja = !no_jinja, .variables = variables_of(variables)};
  if (!name_or_text.empty()) engine::check_template(name_or_text);
  if (!file.empty()) {
    options.name_or_text = eval::read_text_file(file);
    if (options.name_or_text.find('{') == std::string::npos)
      throw Error(fmt::format("{} holds no chat template in Jinja: there are no braces", file));
  }
  if (options.name_or_text.empty()) options.name_or_text = model.trained_template();
  if (const auto given = options.variables.find("enable_thinking");
      given != options.variables.end() && given->second != "true" && given->second != "false") {
    throw Error(fmt::format("--chat-template-kwargs: enable_thinking must be true or false, not {}",
                            given->second));
  }
  if (reasoning != "auto")
    options.variables["enable_thinking"] = reasoning == "on" ? "true" : "false";
  return options;
}

std::string ChatArguments::named() const {
  return file.empty() ? name_or_text : fmt::format("{} ({})", file, eval::fingerprint(file));
}

engine::ChatTemplate ChatArguments::open(const engine::Model &model,
                                         const ModelArguments &arguments) const {
  engine::ChatTemplate chat_template = engine::ChatTemplate::of(model, options(arguments));
  if (!chat_template.note().empty()) fmt::print(stderr, "vase: {}\n", chat_template.note());
  return chat_template;
}

}  // namespace vase::cli
