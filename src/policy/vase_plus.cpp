// vase-plus: keep the rows that no others stand for. Their values are far from the mean, and no
// newer keys are near theirs, all taken as they were before RoPE.
#include "policy/vase_plus.hpp"

#include <algorithm>

#include "score/distance.hpp"
#include "score/novelty.hpp"

namespace vase {
namespace {

/// A small budget can spare less for the newest rows (docs/results.md). From 4,096 rows on, where
/// an eviction takes longer, they come less often, so that a token's share in them stays the same.
Pace pace(int32_t budget) {
  return {std::clamp(budget / 16 * 3, 16, 64), std::clamp(budget / 2048 * 64, 64, 256)};
}

class VasePlus final : public Policy {
 public:
  const char* name() const override { return "vase-plus"; }
  const char* summary() const override {
    return "keeps values far from the mean whose keys (before RoPE) no newer one resembles";
  }
  Traits traits() const override {
    Traits traits = vase_plus_traits();
    traits.device_score = DeviceScore::kNovelty;
    return traits;
  }

  void score(const Head& head, const Workbench& bench, std::span<float> out) const override {
    const std::span<float> of_values = bench.arena.take<float>(out.size());
    score_parts(head, bench, out, of_values);
    for (size_t i = 0; i < out.size(); ++i) out[i] *= of_values[i];
  }

  size_t workspace(const vase_params&, const vase_layer& layer, int32_t n) const override {
    return Arena::bytes_of<float>(static_cast<size_t>(n)) + score_parts_bytes(layer);
  }
};

}  // namespace

Traits vase_plus_traits() { return {.rope = true, .pin = 0.5f, .pace = pace}; }

void score_parts(const Head& head, const Workbench& bench, std::span<float> of_keys,
                 std::span<float> of_values) {
  novelty(upright_keys(head, bench.kernels, bench.arena), bench.arena, of_keys);
  distance_from_mean({head, head.layer->values, bench.kernels}, bench.arena, of_values);
}

size_t score_parts_bytes(const vase_layer& layer) {
  return upright_bytes(layer.rope) +
         std::max(novelty_bytes(layer.keys), distance_from_mean_bytes(layer.values));
}

const Policy& vase_plus_policy_instance() {
  static const VasePlus policy;
  return policy;
}

}  // namespace vase
