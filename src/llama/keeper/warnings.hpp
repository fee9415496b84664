// What a user should know though it is no error, said through llama.cpp's log.
#ifndef VASE_LLAMA_KEEPER_WARNINGS_HPP
#define VASE_LLAMA_KEEPER_WARNINGS_HPP

#include <span>
#include <string>

#include "llama/graph/cache_layer.hpp"
#include "vase/vase.h"

namespace vase {

void warn(const char *text);
/// Said only to those who ask for the log (-v).
void inform(const std::string &text);

/// Whether the policy compares keys as they were before RoPE and nobody knows how this
/// model turned those of some layer.
bool misses_rope(const vase_params &params, std::span<const CacheLayer> layers);
void warn_of_missing_rope(const vase_policy *policy);
/// The policy was not written for CUDA devices, where this cache lies.
void warn_of_missing_kernels(const vase_policy *policy);

}  // namespace vase

#endif
