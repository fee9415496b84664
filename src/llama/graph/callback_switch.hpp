// Takes llama.cpp's eval callback away for steps that do not need it.
#ifndef VASE_LLAMA_GRAPH_CALLBACK_SWITCH_HPP
#define VASE_LLAMA_GRAPH_CALLBACK_SWITCH_HPP

#include "ggml-backend.h"
#include "llama.h"

namespace vase {

/// With a callback ggml hands a device a view of the graph, in which a CUDA device has to compare
/// every node with those of the graph that it has recorded: 0.2 ms a step, whatever the callback
/// does. llama.cpp sets the callback of llama_context_params whenever it builds a graph, and has no
/// public function to take it away from one that it runs again. Its scheduler has one, but only
/// llama_context::get_sched() leads to the scheduler: libllama exports it, no public header has it.
/// So it is looked up at run time, and only where Compatibility says so. Elsewhere the callback
/// stays, which costs those 0.2 ms.
class CallbackSwitch {
 public:
  CallbackSwitch() = default;  ///< of no context: cannot be turned
  CallbackSwitch(const llama_context *context, ggml_backend_sched_eval_callback callback,
                 void *user_data);

  bool can_turn() const { return scheduler_of_ != nullptr; }
  /// For as long as llama.cpp does not build another graph.
  void turn(bool on) const;

 private:
  using SchedulerOf = ggml_backend_sched_t (*)(const llama_context *);
  static SchedulerOf find_scheduler_of();

  SchedulerOf scheduler_of_ = nullptr;
  const llama_context *context_ = nullptr;
  ggml_backend_sched_eval_callback callback_ = nullptr;
  void *user_data_ = nullptr;
};

}  // namespace vase

#endif
