// Devices of other machines, by llama.cpp's RPC backend.
#pragma once

#include <string>
#include <vector>

namespace vase::engine {

/// Adds the devices of llama.cpp's `ggml-rpc-server` at each address (HOST:PORT) to those of this
/// process. To be called after init_llama() and before a model is loaded or planned. Throws Error
/// if an address is none, this libllama has no RPC backend, or no such server answers there.
void add_rpc_servers(const std::vector<std::string> &addresses);

}  // namespace vase::engine
