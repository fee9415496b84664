#include "llama/graph/callback_switch.hpp"

#if defined(__unix__) || defined(__APPLE__)
#include <dlfcn.h>
#endif

namespace vase {
CallbackSwitch::SchedulerOf CallbackSwitch::find_scheduler_of() {
#if defined(__unix__) || defined(__APPLE__)
  Dl_info library{};
  // A function that nobody puts himself in front of, and looked up by name, since what carries this
  // code may be loaded where there is no libllama (src/interpose).
  const void *known = dlsym(RTLD_DEFAULT, "llama_version");
  if (known == nullptr || dladdr(known, &library) == 0) return nullptr;
  void *handle = dlopen(library.dli_fname, RTLD_LAZY | RTLD_NOLOAD);
  if (handle == nullptr) return nullptr;
  // ggml_backend_sched_t llama_context::get_sched() const, which takes its object as a function
  // takes its first argument.
  void *found = dlsym(handle, "_ZNK13llama_context9get_schedEv");
  dlclose(handle);
  return reinterpret_cast<SchedulerOf>(found);
#else
  return nullptr;
#endif
}

CallbackSwitch::CallbackSwitch(const llama_context *context,
                               ggml_backend_sched_eval_callback callback, void *user_data)
    : scheduler_of_(find_scheduler_of()),
      context_(context),
      callback_(callback),
      user_data_(user_data) {}

void CallbackSwitch::turn(bool on) const {
  if (!can_turn()) return;
  // Asked each time, since llama.cpp makes a new one when its settings change.
  ggml_backend_sched_set_eval_callback(scheduler_of_(context_), on ? callback_ : nullptr,
                                       user_data_);
}

}  // namespace vase
