// Options that say how a conversation is written, by llama.cpp's names.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

#include "cli/arguments.hpp"
#include "engine/chat.hpp"

namespace vase::cli {

struct ChatArguments {
  std::string name_or_text;
  std::string file;  // with the text of a template
  std::string variables;
  std::string reasoning = "auto";
  bool no_jinja = false;

  void add_to(CLI::App &app);

  /// Throws Error if something cannot be read, or does not fit together. `model`: adapters may want
  /// the template that they were trained with.
  engine::TemplateOptions options(const ModelArguments &model) const;
  /// The template as a run's settings name it; "": the model's own.
  std::string named() const;
  /// As options(), with the model's own template where none is given. Says on stderr if it is not
  /// what the model's file asks for.
  engine::ChatTemplate open(const engine::Model &model, const ModelArguments &arguments) const;
};

}  // namespace vase::cli
