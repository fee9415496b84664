// How `vase exec` learns, before it starts a program, which libllama that would run with: it starts
// the program once with kProbeVariable set, and the process ends before main().
#include <dlfcn.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

#include "interpose/settings.hpp"

namespace {

__attribute__((constructor)) void answer_probe() {
  if (std::getenv(vase::interpose::kProbeVariable) == nullptr) return;
  using Version = const char *(*)();
  const auto version_of = [](const char *name) {
    const auto version = reinterpret_cast<Version>(dlsym(RTLD_DEFAULT, name));
    return version != nullptr ? version() : "unknown";
  };
  std::printf("%s/%s\n", version_of("llama_version"), version_of("ggml_version"));
  std::fflush(stdout);
  _exit(0);
}

}  // namespace
