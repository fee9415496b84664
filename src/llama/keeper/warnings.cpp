#include "llama/keeper/warnings.hpp"

#include <algorithm>
#include <string_view>

#include "llama.h"

namespace vase {

void warn(const char *text) {
  ggml_log_callback log = nullptr;
  void *data = nullptr;
  llama_log_get(&log, &data);
  if (log != nullptr) log(GGML_LOG_LEVEL_WARN, text, data);
}

bool misses_rope(const vase_params &params, std::span<const CacheLayer> layers) {
  return std::string_view(vase_policy_name(params.policy)) == "vase-plus" &&
         std::ranges::any_of(layers, [](const CacheLayer &layer) { return layer.rope.unknown; });
}

void warn_of_missing_rope() {
  warn(
      "vase: this model rotates its keys in a way that is not known here; vase-plus compares them "
      "as they are stored and keeps worse rows\n");
}

}  // namespace vase
