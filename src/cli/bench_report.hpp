// What `vase bench` prints and writes.
#pragma once

#include <string>

#include "cli/bench_measure.hpp"

namespace vase::cli {

std::string as_table(const BenchResult &result);
/// One line. `capture`: how queries were to be taken, as --capture names it.
std::string as_json(const BenchResult &result, const std::string &model_path,
                    const std::string &capture);

}  // namespace vase::cli
