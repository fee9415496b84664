#include "engine/backends.hpp"

#include <filesystem>

#include "ggml-backend.h"
#include "llama.h"

#if defined(__unix__) || defined(__APPLE__)
#include <dlfcn.h>
#endif

namespace vase::engine {

void load_backends() {
  if (ggml_backend_reg_count() > 0) return;
#if defined(__unix__) || defined(__APPLE__)
  // Left to itself ggml looks beside the program and in the current folder.
  Dl_info library{};
  if (dladdr(reinterpret_cast<const void *>(&llama_backend_init), &library) != 0) {
    const auto folder = std::filesystem::absolute(library.dli_fname).parent_path();
    ggml_backend_load_all_from_path(folder.c_str());
  }
#endif
  if (ggml_backend_reg_count() == 0) ggml_backend_load_all();
}

}  // namespace vase::engine
