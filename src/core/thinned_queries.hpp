// Which of the newest queries score the rows, where not all of them do.
#ifndef VASE_CORE_THINNED_QUERIES_HPP
#define VASE_CORE_THINNED_QUERIES_HPP

#include <algorithm>
#include <cstdint>

namespace vase {

/// Queries first, first + step, ...: `count` of them.
struct ThinnedQueries {
  int32_t first;
  int32_t step;
  int32_t count;
};

/// Of `n` queries each `every`-th, the last among them; all with `every` 1. Of a ring that has
/// token t at place t modulo n, and n a multiple of `every`, these are always the same tokens.
constexpr ThinnedQueries thinned_queries(int32_t n, int32_t every) {
  const int32_t count = n < every ? std::min(n, 1) : n / every;
  return {n - 1 - (count - 1) * every, every, count};
}

}  // namespace vase

#endif
