// Sequences of one context that read the same text under different policies and budgets.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "eval/selecting_context.hpp"
#include "vase/llama.hpp"

namespace vase::eval {

struct Lane {
  vase_params params{};
  float pin_prompt = 0.0f;
  /// What steps read of a full cache, as many rows as params.budget.
  std::optional<Selection> selection = {};
  std::int64_t n_prompt = 0;  ///< first tokens, which a selection reads in full
};

/// How contexts are made for lanes.
struct LaneHost {
  llama_context_params context = {};
  /// Makes a context, or throws Error if it does not fit into memory.
  std::function<BoundedContext(const BoundedOptions &)> make_context;
  std::int32_t chunk = 16;  ///< tokens of one decode, at most
  std::int64_t n_ctx = 0;   ///< tokens of the text, for a lane that keeps all
};

class Lanes {
 public:
  /// All lanes evict, with the same query window if they need one, or all select, or none does
  /// either. Throws Error.
  Lanes(const LaneHost &host, const std::vector<Lane> &lanes);

  std::int32_t size() const { return made_.context.options().n_sequences; }
  /// Tokens that can be decoded in one piece, so that every lane evicts exactly where it would if
  /// they came one by one.
  std::int64_t largest_step() const;
  /// Appends tokens to all lanes.
  void decode(std::span<const llama_token> tokens);
  /// Says that what all lanes have been given so far is their prompt (matters if they pin it).
  void set_prompt_end();
  /// [n_vocab] logits after token `token` of the last decode.
  const float *logits(std::int32_t lane, std::int32_t token) const;
  /// Bytes of the lane's rows at their most so far, all layers.
  std::int64_t peak_kv_bytes(std::int32_t lane) const;

 private:
  SelectingContext made_;
  std::vector<std::int32_t> most_rows_;  // [lanes]
};

}  // namespace vase::eval
