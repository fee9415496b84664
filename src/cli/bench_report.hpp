// What `vase bench` prints and writes.
#pragma once

#include <string>

#include "cli/bench_measure.hpp"

namespace vase::cli {

std::string as_table(const BenchResult &result);
/// What the measurement itself does not know.
struct BenchOrigin {
  std::string model = {};       ///< the file
  std::uint64_t gpu_bytes = 0;  ///< in use on the GPUs before the model was loaded
};

/// One line.
std::string as_json(const BenchResult &result, const BenchOrigin &origin);

}  // namespace vase::cli
