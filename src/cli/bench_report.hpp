// What `vase bench` prints and writes.
#pragma once

#include <string>

#include "cli/bench_measure.hpp"

namespace vase::cli {

std::string as_table(const BenchResult &result);
std::string as_json(const BenchResult &result, const std::string &model_path);

}  // namespace vase::cli
