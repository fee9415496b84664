// vase-plus: keep the rows that no others stand for. Their keys, as they were before RoPE, and
// values have a high leverage among the candidates, and no newer key is near theirs.
#include <algorithm>

#include "policy/policies.hpp"
#include "score/leverage.hpp"
#include "score/novelty.hpp"

namespace vase {
namespace {

class VasePlus final : public Policy {
 public:
  const char* name() const override { return "vase-plus"; }
  const char* summary() const override {
    return "keeps the highest leverage of value and key before RoPE, times the key's novelty";
  }
  Choice choice() const override { return Choice::kHighest; }
  float default_pin() const override { return 0.5f; }

  /// A small budget can spare less for the newest rows (docs/results.md). From 4,096 rows on, where
  /// an eviction takes longer, they come less often, so that a token's share in them stays the
  /// same.
  Pace default_pace(int32_t budget) const override {
    return {std::clamp(budget / 16 * 3, 16, 64), std::clamp(budget / 2048 * 64, 64, 256)};
  }

  void score(const Head& head, const Workbench& bench, std::span<float> out) const override {
    const std::span<float> of_values = bench.arena.take<float>(out.size());
    const std::span<float> of_newer = bench.arena.take<float>(out.size());
    const RowSource keys = upright_keys(head, bench.kernels, bench.arena);
    ridge_leverage(keys, bench.arena, out);
    ridge_leverage({head, head.layer->values, bench.kernels}, bench.arena, of_values);
    novelty(keys, bench.arena, of_newer);
    multiply_leverages(out, of_values);
    for (size_t i = 0; i < out.size(); ++i) out[i] *= of_newer[i];
  }

  size_t workspace(const vase_params&, const vase_layer& layer, int32_t n) const override {
    return 2 * Arena::bytes_of<float>(static_cast<size_t>(n)) + upright_bytes(layer.rope) +
           std::max({ridge_leverage_bytes(layer.keys), ridge_leverage_bytes(layer.values),
                     novelty_bytes(layer.keys)});
  }
};

}  // namespace

const Policy& vase_plus_policy_instance() {
  static const VasePlus policy;
  return policy;
}

}  // namespace vase
