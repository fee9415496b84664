// What the results of a run depend on, as its file's first line has it.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

#include "cli/arguments.hpp"
#include "cli/chat_arguments.hpp"

namespace vase::cli {

/// A file's name and its fingerprint.
std::string named_file(const std::filesystem::path &path);

/// "model" and "adapters", and "calibration" if there is one.
nlohmann::ordered_json settings_of(const ModelArguments &model);

/// "chat_template", "" for the model's own, and "jinja", its variables, where it is written in
/// that: files of runs from before it was there lack it, and go on only where nothing changed.
nlohmann::ordered_json settings_of(const ChatArguments &chat, const ModelArguments &model);

/// The parameters that all policies share; "default" where they have their own.
nlohmann::ordered_json settings_of(const PolicyArguments &policy);

}  // namespace vase::cli
