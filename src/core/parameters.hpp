// The numbers of vase_params, in one list for all who write them down or read them back.
#ifndef VASE_CORE_PARAMETERS_HPP
#define VASE_CORE_PARAMETERS_HPP

namespace vase {

/// Calls visit(name, number) for each but the policy, in the order of vase.h. `Params`: vase_params
/// or const vase_params.
template <typename Params, typename Visit>
void each_parameter(Params &params, const Visit &visit) {
  visit("budget", params.budget);
  visit("recency", params.recency);
  visit("interval", params.interval);
  visit("window", params.window);
  visit("sinks", params.sinks);
  visit("protect", params.protect);
  visit("pooling", params.pooling);
  visit("projections", params.projections);
  visit("resample", params.resample);
  visit("temperature", params.temperature);
  visit("lambda", params.lambda);
  visit("seed", params.seed);
}

}  // namespace vase

#endif
