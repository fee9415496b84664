#include "interpose/settings.hpp"

#include <fmt/format.h>

#include <charconv>
#include <map>

#include "core/parameters.hpp"
#include "core/selection.hpp"
#include "ggml.h"
#include "llama.h"
#include "vase/llama.hpp"

namespace vase::interpose {
namespace {

// One list of the fields for both directions.
template <typename P, typename Visit>
void each_number(P &settings, const Visit &visit) {
  each_parameter(settings.policy, visit);
  visit("pin_prompt", settings.pin_prompt);
  visit("metrics_port", settings.metrics_port);
  visit("observatory", settings.observatory);
}

std::map<std::string, std::string> split(const std::string &text) {
  std::map<std::string, std::string> fields;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find(',', at), text.size());
    const std::string field = text.substr(at, end - at);
    const size_t equals = field.find('=');
    if (equals == std::string::npos)
      throw Error(fmt::format("{}: \"{}\" is not name=value", kVariable, field));
    fields[field.substr(0, equals)] = field.substr(equals + 1);
    at = end + 1;
  }
  return fields;
}

}  // namespace

std::string version_of_libllama() { return fmt::format("{}/{}", llama_version(), ggml_version()); }

std::string to_text(const Settings &settings) {
  std::string text = fmt::format("policy={}", vase_policy_name(settings.policy.policy));
  each_number(settings, [&](const char *name, const auto &value) {
    text += fmt::format(",{}={}", name, value);
  });
  return text + fmt::format(",metrics_host={},calibration={},libllama={}", settings.metrics_host,
                            settings.calibration, settings.libllama);
}

Settings settings_from(const std::string &text) {
  std::map<std::string, std::string> fields = split(text);
  const auto take = [&](const char *name) {
    const auto found = fields.find(name);
    if (found == fields.end()) throw Error(fmt::format("{} has no {}", kVariable, name));
    const std::string value = found->second;
    fields.erase(found);
    return value;
  };
  Settings settings;
  const std::string policy = take("policy");
  settings.policy.policy = vase_policy_find(policy.c_str());
  if (const std::string why = why_not_a_policy(policy); !why.empty())
    throw Error(fmt::format("{}: {}", kVariable, why));
  if (settings.policy.policy == nullptr)
    throw Error(fmt::format("{}: no policy is called \"{}\"", kVariable, policy));
  settings.metrics_host = take("metrics_host");
  settings.calibration = take("calibration");
  settings.libllama = take("libllama");
  each_number(settings, [&](const char *name, auto &number) {
    const std::string value = take(name);
    const char *end = value.data() + value.size();
    const auto [stop, error] = std::from_chars(value.data(), end, number);
    if (error != std::errc() || stop != end)
      throw Error(fmt::format("{}: {} is \"{}\", which is no number", kVariable, name, value));
  });
  if (!fields.empty())
    throw Error(fmt::format("{}: there is no setting called {}", kVariable, fields.begin()->first));
  if (vase_params_check(&settings.policy) != VASE_OK)
    throw Error(fmt::format("{}: {}", kVariable, vase_last_error()));
  if (vase_policy_evicts(settings.policy.policy) == 0)
    throw Error(fmt::format("{}: policy {} does not evict", kVariable, policy));
  return settings;
}

}  // namespace vase::interpose
