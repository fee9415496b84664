// LoRA adapters: does one belong to this base model?
#pragma once

#include "llama/plan/gguf_file.hpp"

namespace vase::engine {

/// Throws Error if the adapter was made for another model: the message names the tensor and both
/// shapes. llama.cpp checks too, but says only that some shape is wrong.
void check_adapter_fits(const GgufFile &base, const GgufFile &adapter);

}  // namespace vase::engine
