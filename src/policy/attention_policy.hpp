// Base of the policies whose score is the attention of the newest queries.
#ifndef VASE_POLICY_ATTENTION_POLICY_HPP
#define VASE_POLICY_ATTENTION_POLICY_HPP

#include "policy/policy.hpp"
#include "score/attention.hpp"

namespace vase {

class AttentionPolicy : public Policy {
 public:
  /// w_i, the pooled attention weight of candidate i.
  void score(const Head& head, const Workbench& bench, std::span<float> out) const override {
    const DenseRows keys = dense_keys(head, bench.kernels, bench.arena);
    attention_weights(head, bench.params, bench.kernels, keys, bench.arena, out, traits().every);
  }

  size_t workspace(const vase_params& /*params*/, const vase_layer& layer,
                   int32_t n) const override {
    return dense_keys_bytes(layer, n) + attention_weights_bytes(layer, n);
  }
};

}  // namespace vase

#endif
