#include "engine/loop_guard.hpp"

#include <algorithm>
#include <string>

#include "vase/llama.hpp"

namespace vase::engine {
namespace {

constexpr std::int32_t kRecencyStep = 16;

}  // namespace

LoopGuard::LoopGuard(const vase_params &params, const OnsetRule &onset, const RetreatRule &retreat)
    : params_(params), onset_(onset), retreat_(retreat), detector_(onset) {
  if (vase_policy_evicts(params.policy) != 0) return;
  throw Error("the loop guard gets texts out of loops that eviction led into, and policy " +
              std::string(vase_policy_name(params.policy)) + " evicts nothing");
}

std::int64_t LoopGuard::push(llama_token token) {
  const std::int32_t period = alarms_ < retreat_.most_alarms ? detector_.push(token) : 0;
  if (period == 0) return 0;
  const std::int64_t repeated = detector_.span_of(period) + period;
  detector_ = LoopDetector(onset_);
  ++alarms_;
  choose_otherwise();
  return repeated + alarms_ * retreat_.tokens;
}

void LoopGuard::choose_otherwise() {
  const vase_policy *other = vase_policy_default();
  if (params_.policy == other) {
    params_.recency =
        std::max(params_.recency - kRecencyStep, std::min(params_.recency, kRecencyStep));
  } else {
    params_.policy = other;
    params_.recency = std::min(params_.recency, vase_params_default(other, params_.budget).recency);
  }
}

}  // namespace vase::engine
