#include "engine/loop_guard.hpp"

#include <string>

namespace vase::engine {

LoopGuard::LoopGuard(BoundedContext &context, std::int32_t sequence, const OnsetRule &rule,
                     const GuardAction &action)
    : context_(context),
      sequence_(sequence),
      own_temperature_(context.params(sequence).temperature),
      detector_(rule),
      action_(action) {
  const vase_policy *policy = context.params(sequence).policy;
  if (vase_policy_evicts(policy) == 0 || vase_policy_needs_queries(policy) == 0) {
    throw Error("the loop guard works on the draw by attention, and policy " +
                std::string(vase_policy_name(policy)) + " does not score by attention");
  }
}

LoopGuard::~LoopGuard() {
  if (until_) set_temperature(own_temperature_);
}

void LoopGuard::push(llama_token token) {
  const bool repeats = detector_.push(token) > 0;
  const std::int64_t evictions = context_.statistics(sequence_).evictions;
  if (until_ && evictions >= *until_) {
    set_temperature(own_temperature_);
    until_.reset();
  }
  if (until_ || !repeats) return;
  set_temperature(own_temperature_ * action_.temperature);
  until_ = evictions + action_.evictions;
  ++fired_;
}

void LoopGuard::set_temperature(float temperature) {
  vase_params params = context_.params(sequence_);
  params.temperature = temperature;
  context_.set_params(sequence_, params, context_.pin_prompt(sequence_));
}

}  // namespace vase::engine
