#include "llama/plan/own_memory.hpp"

#include <cstdlib>
#include <fstream>
#include <string>

#ifdef __GLIBC__
#include <malloc.h>
#endif

namespace vase {

void give_back_freed_memory() {
#ifdef __GLIBC__
  malloc_trim(0);
#endif
}

size_t resident_without_leftovers() {
  give_back_freed_memory();
  // Not statm: what that says lags behind by some pages for each processor.
  std::ifstream file("/proc/self/smaps_rollup");
  for (std::string line; std::getline(file, line);)
    if (line.starts_with("Rss:"))
      return static_cast<size_t>(std::strtoull(line.c_str() + 4, nullptr, 10)) * 1024;
  return 0;
}

}  // namespace vase
