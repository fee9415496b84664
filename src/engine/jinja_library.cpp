#include "engine/jinja_library.hpp"

#include <dlfcn.h>

#include "engine/own_library.hpp"
#include "llama.h"

namespace vase::engine {

FoundJinja open_jinja_library(const std::string &path, const std::string &llama_version) {
  // For itself: llama-common brings names along that the program has, too, of other versions.
  void *handle = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) return {.why = path + " cannot be opened: " + dlerror()};
  const auto entry = reinterpret_cast<const JinjaLibrary *(*)()>(dlsym(handle, "vase_jinja"));
  if (entry == nullptr) return {.why = path + " is no library of vase's"};
  const JinjaLibrary *library = entry();
  if (library->llama_version != llama_version) {
    return {.why = path + " is for llama.cpp " + library->llama_version + ", and this is " +
                   llama_version};
  }
  return {.library = library};
}

const FoundJinja &jinja_library() {
  static const FoundJinja kFound = [] {
    const auto path = own_library(kJinjaLibrary);
    if (!path)
      return FoundJinja{.why = "this vase was built without llama.cpp's library llama-common"};
    return open_jinja_library(path->string(), llama_version());
  }();
  return kFound;
}

}  // namespace vase::engine
