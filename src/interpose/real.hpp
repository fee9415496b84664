// libllama's own functions, behind those that this library puts in front of them.
#pragma once

#include <dlfcn.h>

#include <cstdio>
#include <cstdlib>

namespace vase::interpose {

/// While it lives, the functions in front hand this thread's calls straight on: what libvase and
/// libllama call themselves is meant for libllama.
class Aside {
 public:
  Aside() { ++depth(); }
  ~Aside() { --depth(); }
  Aside(const Aside &) = delete;
  Aside &operator=(const Aside &) = delete;
  static bool active() { return depth() > 0; }

 private:
  static int &depth() {
    thread_local int depth = 0;
    return depth;
  }
};

/// The next definition of a function behind this library; if there is none (libllama was loaded by
/// dlopen), the first in the process. Ends the process if there is no such function: a program that
/// calls it cannot go on.
inline void *find_real(const char *name) {
  void *found = dlsym(RTLD_NEXT, name);
  if (found == nullptr) found = dlsym(RTLD_DEFAULT, name);
  if (found == nullptr) {
    std::fprintf(stderr, "vase exec: this program's libllama has no %s; it is too old\n", name);
    std::abort();
  }
  return found;
}

}  // namespace vase::interpose

/// libllama's function `name`, looked up once.
#define VASE_REAL(name)                                                           \
  ([]() -> decltype(&::name) {                                                    \
    static const auto function =                                                  \
        reinterpret_cast<decltype(&::name)>(::vase::interpose::find_real(#name)); \
    return function;                                                              \
  }())

/// Marks a function that stands in front of libllama's.
#define VASE_IN_FRONT extern "C" __attribute__((visibility("default")))
