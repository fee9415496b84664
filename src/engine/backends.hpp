// llama.cpp's backends where they are libraries of their own (GGML_BACKEND_DL, as in our wheel).
#pragma once

namespace vase::engine {

/// Loads the backends that lie beside libllama: of those for CPUs the one that suits this CPU best.
/// Does nothing where they are part of libllama, as they are unless it was built to be passed on.
void load_backends();

}  // namespace vase::engine
