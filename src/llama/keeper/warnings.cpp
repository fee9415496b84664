#include "llama/keeper/warnings.hpp"

#include <algorithm>
#include <string>

#include "llama.h"

namespace vase {

namespace {

void say(ggml_log_level level, const char *text) {
  ggml_log_callback log = nullptr;
  void *data = nullptr;
  llama_log_get(&log, &data);
  if (log != nullptr) log(level, text, data);
}

}  // namespace

void warn(const char *text) { say(GGML_LOG_LEVEL_WARN, text); }

void inform(const std::string &text) { say(GGML_LOG_LEVEL_INFO, text.c_str()); }

bool misses_rope(const vase_params &params, std::span<const CacheLayer> layers) {
  return vase_policy_uses_rope(params.policy) != 0 &&
         std::ranges::any_of(layers, [](const CacheLayer &layer) { return layer.rope.unknown; });
}

void warn_of_missing_rope(const vase_policy *policy) {
  const std::string text =
      std::string("vase: this model rotates its keys in a way that is not known here; ") +
      vase_policy_name(policy) + " compares them as they are stored and keeps worse rows\n";
  warn(text.c_str());
}

void warn_of_missing_kernels(const vase_policy *policy) {
  const std::string text = std::string("vase: ") + vase_policy_name(policy) +
                           " has no CUDA kernels; it evicts on the host\n";
  warn(text.c_str());
}

}  // namespace vase
