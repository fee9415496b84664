#include "cli/run_settings.hpp"

#include <fmt/format.h>

#include "eval/fingerprint.hpp"

namespace vase::cli {

using nlohmann::ordered_json;

std::string named_file(const std::filesystem::path &path) {
  return fmt::format("{} ({})", path.filename().string(), eval::fingerprint(path));
}

ordered_json settings_of(const ModelArguments &model) {
  const engine::ModelOptions options = model.options();
  ordered_json adapters = ordered_json::array();
  for (const engine::LoraFile &lora : options.loras) adapters.push_back(named_file(lora.path));
  ordered_json settings = {{"model", named_file(options.path)}, {"adapters", adapters}};
  // Run files from before it was there lack it.
  if (!model.calibration.empty()) settings["calibration"] = named_file(model.calibration);
  return settings;
}

ordered_json settings_of(const ChatArguments &chat, const ModelArguments &model) {
  ordered_json settings = {{"chat_template", chat.named()}};
  if (const engine::TemplateOptions written = chat.options(model); engine::takes_jinja(written))
    settings["jinja"] = written.variables;
  return settings;
}

ordered_json settings_of(const PolicyArguments &policy) {
  const auto or_default = [](const auto &value) {
    return value ? ordered_json(*value) : ordered_json("default");
  };
  // Run files have had 0 where it is not given, since before policies had defaults of their own.
  const ordered_json pinned = policy.pin_prompt == 0.0f
                                  ? ordered_json("off")
                                  : ordered_json(policy.pin_prompt.value_or(0.0f));
  return {
      {"recency", or_default(policy.recency)}, {"interval", or_default(policy.interval)},
      {"window", or_default(policy.window)},   {"sinks", or_default(policy.sinks)},
      {"protect", or_default(policy.protect)}, {"temperature_attn", or_default(policy.temperature)},
      {"lambda", or_default(policy.lambda)},   {"pin_prompt", pinned}};
}

}  // namespace vase::cli
