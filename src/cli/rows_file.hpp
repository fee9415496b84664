// The file of `vase run --rows`: which tokens each head still had at the end.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "llama.h"
#include "vase/llama.hpp"
#include "vase/vase.h"

namespace vase::cli {

/// What a sequence was given, and what is left of it.
struct KeptRows {
  vase_params policy{};
  std::int64_t evictions = 0;
  std::vector<llama_token> tokens;  ///< of the whole text, as far as it was decoded
  /// [bounded layer][KV head] token positions, indices into `tokens`, ascending.
  std::vector<std::vector<std::vector<std::int32_t>>> positions = {};
};

/// Reads them out of `sequence`. `tokens`: what it was given; those not decoded yet are left out.
KeptRows kept_rows(const BoundedContext &context, std::int32_t sequence,
                   std::span<const llama_token> tokens);

/// So that a bad path is known before the work. Makes the file if it is not there, and leaves one
/// that is as it is. Throws Error if it cannot be written.
void check_rows_file(const std::string &path);

/// JSON Lines: {"vase_rows", "policy", "budget", "seed", "evictions", "tokens"}, then for each
/// bounded layer {"layer", "heads"}. Throws Error if it cannot be written.
void write_rows_file(const std::string &path, const KeptRows &rows);

}  // namespace vase::cli
