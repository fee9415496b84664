// vase-plus: keep the rows that no others stand for. Their values are far from the mean, and no
// newer keys are near theirs, all taken as they were before RoPE.
#include <algorithm>

#include "policy/policy.hpp"
#include "score/distance.hpp"
#include "score/novelty.hpp"

namespace vase {
namespace {

class VasePlus final : public Policy {
 public:
  const char* name() const override { return "vase-plus"; }
  const char* summary() const override {
    return "keeps values far from the mean whose keys (before RoPE) no newer one resembles";
  }
  Traits traits() const override {
    return {.rope = true, .pin = 0.5f, .pace = pace, .device_score = DeviceScore::kNovelty};
  }

  /// A small budget can spare less for the newest rows (docs/results.md). From 4,096 rows on, where
  /// an eviction takes longer, they come less often, so that a token's share in them stays the
  /// same.
  static Pace pace(int32_t budget) {
    return {std::clamp(budget / 16 * 3, 16, 64), std::clamp(budget / 2048 * 64, 64, 256)};
  }

  void score(const Head& head, const Workbench& bench, std::span<float> out) const override {
    const std::span<float> of_values = bench.arena.take<float>(out.size());
    novelty(upright_keys(head, bench.kernels, bench.arena), bench.arena, out);
    distance_from_mean({head, head.layer->values, bench.kernels}, bench.arena, of_values);
    for (size_t i = 0; i < out.size(); ++i) out[i] *= of_values[i];
  }

  size_t workspace(const vase_params&, const vase_layer& layer, int32_t n) const override {
    return Arena::bytes_of<float>(static_cast<size_t>(n)) + upright_bytes(layer.rope) +
           std::max(novelty_bytes(layer.keys), distance_from_mean_bytes(layer.values));
  }
};

}  // namespace

const Policy& vase_plus_policy_instance() {
  static const VasePlus policy;
  return policy;
}

}  // namespace vase
