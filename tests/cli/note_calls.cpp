// Loaded with LD_PRELOAD: writes to the file $VASE_CALLS which headers are read and how many
// contexts are made, and hands on to llama.cpp.
#include <dlfcn.h>

#include <cstdlib>
#include <fstream>
#include <string>

#include "gguf.h"
#include "llama.h"

namespace {

void note(const std::string &what) {
  const char *path = std::getenv("VASE_CALLS");
  if (path != nullptr) std::ofstream(path, std::ios::app) << what << '\n';
}

template <typename Function>
Function *next(const char *name) {
  return reinterpret_cast<Function *>(dlsym(RTLD_NEXT, name));
}

}  // namespace

extern "C" {

gguf_context *gguf_init_from_file(const char *path, gguf_init_params params) {
  note(std::string("header ") + path);
  return next<gguf_context *(const char *, gguf_init_params)>("gguf_init_from_file")(path, params);
}

llama_context *llama_init_from_model(llama_model *model, llama_context_params params) {
  note("context");
  return next<llama_context *(llama_model *, llama_context_params)>("llama_init_from_model")(
      model, params);
}
}
