// The policies that a command compares, as its arguments name them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cli/arguments.hpp"
#include "eval/schedule.hpp"

namespace vase::cli {

/// How variants are written; for --help.
std::string variant_help();

/// Reads names of policies with their suffixes. `common`: parameters of all of them. Throws Error
/// if one is unknown, wrong, or there twice.
std::vector<eval::Variant> parse_variants(const std::vector<std::string> &texts,
                                          const PolicyArguments &common, std::uint64_t seed);

}  // namespace vase::cli
