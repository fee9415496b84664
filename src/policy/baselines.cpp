// Policies that look at little or nothing: what every other one must beat.
#include <algorithm>

#include "policy/policy.hpp"
#include "score/value_range.hpp"

namespace vase {
namespace {

class Streaming final : public Policy {
 public:
  const char* name() const override { return "streaming"; }
  const char* summary() const override { return "keeps sinks and the newest rows (StreamingLLM)"; }
  Traits traits() const override { return {.device_score = DeviceScore::kAge}; }

  void score(const Head& head, const Workbench& /*bench*/, std::span<float> out) const override {
    // The rank in token order, not the position: exact in f32 for any length of text.
    for (size_t i = 0; i < out.size(); ++i)
      out[i] = static_cast<float>(i) / static_cast<float>(head.size());
  }
  size_t workspace(const vase_params&, const vase_layer&, int32_t) const override { return 0; }
};

class Random final : public Policy {
 public:
  const char* name() const override { return "random"; }
  const char* summary() const override { return "keeps sinks and draws the rest uniformly"; }
  Traits traits() const override {
    return {.choice = Choice::kDraw, .device_score = DeviceScore::kEqual};
  }

  void score(const Head& /*head*/, const Workbench& /*bench*/,
             std::span<float> out) const override {
    std::fill(out.begin(), out.end(), 1.0f);
  }
  size_t workspace(const vase_params&, const vase_layer&, int32_t) const override { return 0; }
};

class EvictLarge final : public Policy {
 public:
  const char* name() const override { return "evict-large"; }
  const char* summary() const override {
    return "ablation: gives up the outlier values that VaSE protects";
  }
  Traits traits() const override {
    return {.ablation = true, .choice = Choice::kLowest, .device_score = DeviceScore::kValueRange};
  }

  void score(const Head& head, const Workbench& bench, std::span<float> out) const override {
    value_range(head, bench.kernels, bench.arena, out);
  }
  size_t workspace(const vase_params&, const vase_layer& layer, int32_t) const override {
    return value_range_bytes(layer);
  }
};

class Full final : public Policy {
 public:
  const char* name() const override { return "full"; }
  const char* summary() const override { return "keeps everything: plain llama.cpp"; }
  Traits traits() const override { return {.evicts = false, .device_score = DeviceScore::kEqual}; }

  void score(const Head& /*head*/, const Workbench& /*bench*/,
             std::span<float> out) const override {
    std::fill(out.begin(), out.end(), 1.0f);
  }
  size_t workspace(const vase_params&, const vase_layer&, int32_t) const override { return 0; }
};

}  // namespace

const Policy& streaming_policy_instance() {
  static const Streaming policy;
  return policy;
}

const Policy& random_policy_instance() {
  static const Random policy;
  return policy;
}

const Policy& evict_large_policy_instance() {
  static const EvictLarge policy;
  return policy;
}

const Policy& full_policy_instance() {
  static const Full policy;
  return policy;
}

}  // namespace vase
