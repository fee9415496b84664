// vase-plus@2: vase-plus that heeds, a little, what the newest queries attend to.
#include <cmath>

#include "core/heed_rule.hpp"
#include "policy/attention_policy.hpp"
#include "policy/vase_plus.hpp"

namespace vase {
namespace {

class VasePlus2 final : public AttentionPolicy {
 public:
  const char* name() const override { return "vase-plus@2"; }
  const char* summary() const override {
    return "vase-plus that heeds recent attention a little: better in chats at 16x, remembers less";
  }
  /// Pin and pace are those of vase-plus.
  Traits traits() const override {
    Traits traits = vase_plus_traits();
    traits.queries = true;
    traits.every = kHeedEvery;
    traits.parameters |= kAttentionParameters;
    traits.device_score = DeviceScore::kHeededNovelty;
    return traits;
  }

  /// d_i |v_i - mean(v)|^(1/2) (w_i + 1e-9)^0.05: d the novelty of the key, w the pooled attention.
  void score(const Head& head, const Workbench& bench, std::span<float> out) const override {
    const std::span<float> weights = bench.arena.take<float>(out.size());
    const std::span<float> of_values = bench.arena.take<float>(out.size());
    AttentionPolicy::score(head, bench, weights);
    score_parts(head, bench, out, of_values);
    for (size_t i = 0; i < out.size(); ++i)
      out[i] *= std::sqrt(of_values[i]) * std::pow(weights[i] + kLeastHeed, kHeedPower);
  }

  size_t workspace(const vase_params& params, const vase_layer& layer, int32_t n) const override {
    return AttentionPolicy::workspace(params, layer, n) +
           2 * Arena::bytes_of<float>(static_cast<size_t>(n)) + score_parts_bytes(layer);
  }
};

}  // namespace

const Policy& vase_plus_2_policy_instance() {
  static const VasePlus2 policy;
  return policy;
}

}  // namespace vase
