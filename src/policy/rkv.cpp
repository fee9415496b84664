// R-KV (arXiv 2505.24133): keep what is attended to and not said twice.
#include "policy/attention_policy.hpp"
#include "score/redundancy.hpp"

namespace vase {
namespace {

class RKv final : public AttentionPolicy {
 public:
  const char* name() const override { return "rkv"; }
  const char* summary() const override {
    return "keeps high attention with little redundancy (R-KV)";
  }
  Traits traits() const override {
    return {.queries = true,
            .parameters = kAttentionParameters | kLambda,
            .device_score = DeviceScore::kRedundancy};
  }

  /// lambda * w_i - (1 - lambda) * redundancy_i.
  void score(const Head& head, const Workbench& bench, std::span<float> out) const override {
    const DenseRows keys = dense_keys(head, bench.kernels, bench.arena);
    attention_weights(head, bench.params, bench.kernels, keys, bench.arena, out);
    const std::span<float> redundant = bench.arena.take<float>(out.size());
    redundancy(keys, bench.kernels, bench.arena, redundant);
    const float lambda = bench.params.lambda;
    for (size_t i = 0; i < out.size(); ++i)
      out[i] = lambda * out[i] - (1.0f - lambda) * redundant[i];
  }

  size_t workspace(const vase_params& params, const vase_layer& layer, int32_t n) const override {
    return AttentionPolicy::workspace(params, layer, n) +
           Arena::bytes_of<float>(static_cast<size_t>(n)) + redundancy_bytes(layer, n);
  }
};

}  // namespace

const Policy& rkv_policy_instance() {
  static const RKv policy;
  return policy;
}

}  // namespace vase
