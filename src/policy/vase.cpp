// VaSE (arXiv 2606.03928): protect the rows with outlier values, draw the others by attention.
#include "policy/attention_policy.hpp"
#include "policy/protection.hpp"
#include "score/value_range.hpp"

namespace vase {
namespace {

class Vase final : public AttentionPolicy {
 public:
  const char* name() const override { return "vase"; }
  const char* summary() const override {
    return "protects outlier values, draws the rest by attention (VaSE)";
  }
  Traits traits() const override {
    return {.queries = true,
            .parameters = kAttentionParameters | kProtect,
            .protect = Protect::kWidestValues,
            .choice = Choice::kDraw,
            .device_score = DeviceScore::kAttention};
  }

  /// The P candidates of the widest value range stay. Sinks have narrow values and are needed all
  /// the same: they count as the widest of all, so they are among the P (and are kept before this
  /// is called).
  void protect(const Head& head, const Workbench& bench, KeepSet& keep) const override {
    const std::span<float> range = bench.arena.take<float>(static_cast<size_t>(head.size()));
    value_range(head, bench.kernels, bench.arena, range);
    keep.add_top(range, rows_to_protect(head, bench, range, keep));
  }

  size_t workspace(const vase_params& params, const vase_layer& layer, int32_t n) const override {
    return AttentionPolicy::workspace(params, layer, n) +
           Arena::bytes_of<float>(static_cast<size_t>(n)) + value_range_bytes(layer) +
           rows_to_protect_bytes(n);
  }
};

}  // namespace

const Policy& vase_policy_instance() {
  static const Vase policy;
  return policy;
}

}  // namespace vase
