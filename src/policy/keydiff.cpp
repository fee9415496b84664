// KeyDiff (arXiv 2504.15364): keep the keys that look least like the others.
#include "policy/policy.hpp"
#include "score/key_difference.hpp"

namespace vase {
namespace {

class KeyDiff final : public Policy {
 public:
  const char* name() const override { return "keydiff"; }
  const char* summary() const override {
    return "keeps the keys least like the mean of all keys (KeyDiff)";
  }
  Traits traits() const override { return {.device_score = DeviceScore::kKeyDiff}; }

  void score(const Head& head, const Workbench& bench, std::span<float> out) const override {
    key_difference(head, bench.kernels, bench.arena, out);
  }

  size_t workspace(const vase_params&, const vase_layer& layer, int32_t) const override {
    return key_difference_bytes(layer);
  }
};

}  // namespace

const Policy& keydiff_policy_instance() {
  static const KeyDiff policy;
  return policy;
}

}  // namespace vase
