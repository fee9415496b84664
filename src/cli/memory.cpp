#include "cli/memory.hpp"

#include <fmt/format.h>

#include "cli/units.hpp"
#include "engine/machine.hpp"
#include "vase/llama.hpp"

namespace vase::cli {

void check_memory(const MemoryPlan &plan, std::optional<std::uint64_t> available,
                  std::string_view option) {
  if (!available || plan.total() <= *available) return;
  const std::string aside =
      plan.snapshots > 0 ? ", prompts put aside " + format_bytes(plan.snapshots) : "";
  throw Error(fmt::format(
      "this needs {} (weights {}, KV cache {}, evictions {}, compute {}{}) and {} is "
      "available: choose a smaller {}, or --force",
      format_bytes(plan.total()), format_bytes(plan.loaded()), format_bytes(plan.kv),
      format_bytes(plan.queries), format_bytes(plan.compute + plan.structures + plan.unused_logits),
      aside, format_bytes(*available), option));
}

std::optional<std::uint64_t> memory_for_model(std::int32_t n_gpu_layers) {
  if (n_gpu_layers != 0 && llama_supports_gpu_offload()) return std::nullopt;
  return engine::available_memory();
}

FullCacheCost::FullCacheCost(const MemoryPlan &plan)
    : fixed_(plan.kv_windows), per_token_(plan.kv_per_token) {}

std::uint64_t FullCacheCost::at(std::int64_t tokens) const {
  return fixed_ + static_cast<std::uint64_t>(per_token_ * static_cast<double>(tokens));
}

}  // namespace vase::cli
