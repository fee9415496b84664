// TriAttention (arXiv 2604.04921): keep what the queries that a head usually has would attend to.
#include "policy/policy.hpp"
#include "score/trigonometric.hpp"

namespace vase {
namespace {

class TriAttention final : public Policy {
 public:
  const char* name() const override { return "triattention"; }
  const char* summary() const override {
    return "keeps what a head's usual queries, measured before, would attend to (TriAttention)";
  }
  /// As published, the prompt stays.
  Traits traits() const override {
    return {.calibration = true,
            .rope = true,
            .pin = 0.5f,
            .device_score = DeviceScore::kUsualAttention};
  }

  void score(const Head& head, const Workbench& bench, std::span<float> out) const override {
    trigonometric(head, bench.kernels, bench.arena, out);
  }

  size_t workspace(const vase_params&, const vase_layer& layer, int32_t n) const override {
    return trigonometric_bytes(layer, n);
  }
};

}  // namespace

const Policy& triattention_policy_instance() {
  static const TriAttention policy;
  return policy;
}

}  // namespace vase
