// Will it fit, and what does it save? Asked before anything large is read.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "llama/plan/memory_plan.hpp"

namespace vase::cli {

/// Throws Error, saying how much is needed and how much there is, if the plan is larger than
/// `available`; `option` is the one to make smaller. Nothing is known to be too large if
/// `available` is nullopt.
void check_memory(const MemoryPlan &plan, std::optional<std::uint64_t> available,
                  std::string_view option);

/// What this process may take: nullopt if the model goes to a GPU, whose memory llama.cpp itself
/// watches over.
std::optional<std::uint64_t> memory_for_model(std::int32_t n_gpu_layers);

/// What the KV cache of plain llama.cpp takes for a text of any length.
class FullCacheCost {
 public:
  FullCacheCost() = default;
  /// As a plan for any context of the same model, types and batches says.
  explicit FullCacheCost(const MemoryPlan &plan);

  std::uint64_t at(std::int64_t tokens) const;

 private:
  // Layers with a sliding window stop growing; each token adds the same to the others.
  std::uint64_t fixed_ = 0;
  double per_token_ = 0;
};

}  // namespace vase::cli
