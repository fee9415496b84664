// The fields of vase_params, in one list for all who compare them, write them down or read them
// back.
#ifndef VASE_CORE_PARAMETERS_HPP
#define VASE_CORE_PARAMETERS_HPP

#include <array>
#include <tuple>

#include "vase/vase.h"

namespace vase {

/// References to the policy and the numbers of `params`, in the order of vase.h. `Params`:
/// vase_params or const vase_params.
template <typename Params>
auto parameters_of(Params &params) {
  // A field that vase.h has and this list has not does not compile.
  auto &[size, policy, budget, recency, interval, window, sinks, protect, pooling, projections,
         resample, temperature, lambda, seed] = params;
  return std::tie(policy, budget, recency, interval, window, sinks, protect, pooling, projections,
                  resample, temperature, lambda, seed);
}

/// What vase.h calls the numbers.
inline constexpr std::array kParameterNames = {"budget",   "recency",     "interval", "window",
                                               "sinks",    "protect",     "pooling",  "projections",
                                               "resample", "temperature", "lambda",   "seed"};

/// Calls visit(name, number) for each but the policy, in the order of vase.h.
template <typename Params, typename Visit>
void each_parameter(Params &params, const Visit &visit) {
  static_assert(std::tuple_size_v<decltype(parameters_of(params))> == 1 + kParameterNames.size());
  const auto *name = kParameterNames.begin();
  std::apply([&](auto &, auto &...numbers) { (visit(*name++, numbers), ...); },
             parameters_of(params));
}

}  // namespace vase

#endif
