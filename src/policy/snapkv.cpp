// SnapKV (arXiv 2404.14469) as the VaSE paper runs it: keep what the newest queries attend to most.
// And its ablation with as many rows protected at random as VaSE protects by value.
#include <algorithm>

#include "policy/attention_policy.hpp"
#include "policy/protection.hpp"
#include "score/value_range.hpp"

namespace vase {
namespace {

class SnapKv final : public AttentionPolicy {
 public:
  const char* name() const override { return "snapkv"; }
  const char* summary() const override { return "keeps the highest attention (SnapKV)"; }
  Traits traits() const override {
    return {.queries = true,
            .parameters = kAttentionParameters,
            .device_score = DeviceScore::kAttention};
  }
};

class AttentionRandom final : public AttentionPolicy {
 public:
  const char* name() const override { return "attn-random"; }
  const char* summary() const override {
    return "ablation: protects random rows, then the highest attention";
  }
  Traits traits() const override {
    return {.ablation = true,
            .queries = true,
            .parameters = kAttentionParameters | kProtect,
            .protect = Protect::kRandom,
            .device_score = DeviceScore::kAttention};
  }

  void protect(const Head& head, const Workbench& bench, KeepSet& keep) const override {
    const std::span<float> weight = bench.arena.take<float>(static_cast<size_t>(head.size()));
    value_range(head, bench.kernels, bench.arena, weight);
    const int32_t count = rows_to_protect(head, bench, weight, keep);
    std::fill(weight.begin(), weight.end(), 1.0f);
    keep.add_drawn(weight, head.positions, head.draws(bench.params.seed), count);
  }

  size_t workspace(const vase_params& params, const vase_layer& layer, int32_t n) const override {
    return AttentionPolicy::workspace(params, layer, n) +
           Arena::bytes_of<float>(static_cast<size_t>(n)) + value_range_bytes(layer) +
           rows_to_protect_bytes(n);
  }
};

}  // namespace

const Policy& snapkv_policy_instance() {
  static const SnapKv policy;
  return policy;
}

const Policy& attention_random_policy_instance() {
  static const AttentionRandom policy;
  return policy;
}

}  // namespace vase
