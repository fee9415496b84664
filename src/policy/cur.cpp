// VaSE+CUR (arXiv 2606.03928): keep the rows of the highest estimated leverage. Fast, since it
// needs no queries.
#include "score/cur.hpp"

#include "policy/policy.hpp"

namespace vase {
namespace {

class VaseCur final : public Policy {
 public:
  const char* name() const override { return "vase-cur"; }
  const char* summary() const override {
    return "keeps the highest leverage of a random projection (VaSE+CUR)";
  }
  Traits traits() const override {
    return {.parameters = kProjections | kResample, .device_score = DeviceScore::kLeverage};
  }

  void score(const Head& head, const Workbench& bench, std::span<float> out) const override {
    cur_leverage(head, bench.params, bench.kernels, bench.arena, out);
  }

  size_t workspace(const vase_params& params, const vase_layer& layer, int32_t n) const override {
    return cur_leverage_bytes(params, layer, n);
  }
};

}  // namespace

const Policy& vase_cur_policy_instance() {
  static const VaseCur policy;
  return policy;
}

}  // namespace vase
