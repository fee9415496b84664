// Runs a model over a text to measure its queries.
#ifndef VASE_LLAMA_OWNED_MEASURE_QUERIES_HPP
#define VASE_LLAMA_OWNED_MEASURE_QUERIES_HPP

#include <functional>
#include <span>

#include "llama/plan/calibration.hpp"
#include "vase/llama.hpp"

namespace vase {

/// The mean queries of a text's tokens, as `vase calibrate` writes them. In a context of its own
/// that holds the whole text, of type f16 whatever `params` say; `prepare` may add adapters to it.
/// Throws Error if the text is shorter than 64 tokens, the model's layers cannot be bounded or its
/// keys are rotated in an unknown way, or llama_decode fails; Stopped if `progress` says false.
Calibration measure_queries(llama_model *model, const llama_context_params &params,
                            std::span<const llama_token> tokens,
                            const std::function<void(llama_context *)> &prepare,
                            const Progress &progress);

}  // namespace vase

#endif
