// The policies that a command compares, as its arguments name them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cli/arguments.hpp"
#include "eval/schedule.hpp"

namespace vase::cli {

/// How variants are written; for --help.
inline constexpr const char *kVariantHelp =
    "A policy is a name of `vase policies`. \"+prompt\" behind it pins the prompt (to half of the\n"
    "budget unless --pin-prompt says otherwise), \"+guard\" behind that acts in the cache when "
    "the\n"
    "text begins to repeat itself, and \":name=value\" sets a parameter for it alone:\n"
    "vase:protect=50%:recency=128, random+prompt, vase+prompt+guard, snapkv:pin-prompt=0.25.";

/// Reads names of policies with their suffixes. `common`: parameters of all of them. Throws Error
/// if one is unknown, wrong, or there twice.
std::vector<eval::Variant> parse_variants(const std::vector<std::string> &texts,
                                          const PolicyArguments &common, std::uint64_t seed);

}  // namespace vase::cli
