// vase-plus: keep the rows that no others stand for, by the exact leverage of their keys, as they
// were before RoPE, and of their values.
#include <algorithm>

#include "policy/policies.hpp"
#include "score/leverage.hpp"

namespace vase {
namespace {

class VasePlus final : public Policy {
 public:
  const char* name() const override { return "vase-plus"; }
  const char* summary() const override {
    return "keeps the highest ridge leverage of keys before RoPE and values";
  }
  Choice choice() const override { return Choice::kHighest; }
  /// As it was evaluated (docs/results.md): the step at hand is needed whole, which takes some 200
  /// tokens, or a quarter of a large budget.
  int32_t default_recency(int32_t budget) const override {
    constexpr int32_t kStep = 192;
    return std::max(budget / 4, std::min(kStep, budget * 3 / 8));
  }
  float default_pin() const override { return 0.5f; }

  void score(const Head& head, const Workbench& bench, std::span<float> out) const override {
    const std::span<float> of_values = bench.arena.take<float>(out.size());
    ridge_leverage(upright_keys(head, bench.kernels, bench.arena), bench.arena, out);
    ridge_leverage({head, head.layer->values, bench.kernels}, bench.arena, of_values);
    multiply_leverages(out, of_values);
  }

  size_t workspace(const vase_params&, const vase_layer& layer, int32_t n) const override {
    return Arena::bytes_of<float>(static_cast<size_t>(n)) + upright_bytes(layer.rope) +
           std::max(ridge_leverage_bytes(layer.keys), ridge_leverage_bytes(layer.values));
  }
};

}  // namespace

const Policy& vase_plus_policy_instance() {
  static const VasePlus policy;
  return policy;
}

}  // namespace vase
