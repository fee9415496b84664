// SnapKV (arXiv 2404.14469) as the VaSE paper runs it: keep what the newest queries attend to most.
// And its ablation with as many rows protected at random as VaSE protects by value.
#include "policy/attention_policy.hpp"
#include "policy/policies.hpp"

namespace vase {
namespace {

class SnapKv final : public AttentionPolicy {
 public:
  const char* name() const override { return "snapkv"; }
  const char* summary() const override { return "keeps the highest attention (SnapKV)"; }
  Choice choice() const override { return Choice::kHighest; }
};

class AttentionRandom final : public AttentionPolicy {
 public:
  const char* name() const override { return "attn-random"; }
  const char* summary() const override {
    return "ablation: protects random rows, then the highest attention";
  }
  Choice choice() const override { return Choice::kHighest; }

  void protect(const Head& head, const Workbench& bench, KeepSet& keep) const override {
    const std::span<float> equal = bench.arena.take<float>(static_cast<size_t>(head.size()));
    std::fill(equal.begin(), equal.end(), 1.0f);
    keep.add_drawn(equal, head.positions, head.draws(bench.params.seed),
                   bench.params.protect - sinks_among(head, bench.params));
  }

  size_t workspace(const vase_params& params, const vase_layer& layer, int32_t n) const override {
    return AttentionPolicy::workspace(params, layer, n) +
           Arena::bytes_of<float>(static_cast<size_t>(n));
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
