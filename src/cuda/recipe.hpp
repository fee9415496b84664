// How a policy is made of the kernels here.
#ifndef VASE_CUDA_RECIPE_HPP
#define VASE_CUDA_RECIPE_HPP

#include <optional>

#include "cuda/device_call.hpp"

namespace vase::cuda {

/// The recipe of `policy` (not null); nothing if no kernels were written for it.
std::optional<Recipe> recipe_of(const vase_policy* policy);

}  // namespace vase::cuda

#endif
