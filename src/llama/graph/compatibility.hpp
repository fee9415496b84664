// What of llama.cpp's inside may be relied on: asked here, and nowhere else.
#ifndef VASE_LLAMA_GRAPH_COMPATIBILITY_HPP
#define VASE_LLAMA_GRAPH_COMPATIBILITY_HPP

#include <string>

namespace vase {

/// Two short cuts know more of llama.cpp than its public functions say, and so does what is read
/// off op_params. All of it is used with the versions of llama.cpp and ggml that it was tested
/// with; elsewhere each has a slow way that needs nothing of the kind.
struct Compatibility {
  /// GraphTaps may point tensors of a graph to other memory. Else each step stops at each layer
  /// whose queries are wanted.
  bool taps = true;
  /// CallbackSwitch may look up the scheduler. Else the callback stays.
  bool callback_switch = true;
  /// ggml notes the parameters of RoPE where Rope reads them (tried on a node of our own, with any
  /// version). Else RoPE is unknown.
  bool rope_layout = true;
  /// The same for scale, ALiBi and soft cap of flash attention. Else no model can be bounded.
  bool attention_layout = true;
  /// Why something is off, in one line; empty if nothing is.
  std::string why;
};

/// Of the llama.cpp that runs. VASE_TAPS=0 and VASE_CALLBACK_SWITCH=0 in the environment switch one
/// of the short cuts off.
Compatibility compatibility();

/// The same for given versions, as llama_version() and ggml_version() say them.
Compatibility compatibility_of(const std::string &llama, const std::string &ggml);

}  // namespace vase

#endif
