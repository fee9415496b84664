// Teacher-forced fidelity: the same text through the full f16 cache and through bounded or
// quantised ones, and how far what they predict is apart.
#pragma once

#include <cstdint>
#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "eval/lanes.hpp"

namespace vase::eval {

/// One policy at one budget; or the full cache, in the types of FidelityPlan::host.
struct FidelityEntry {
  std::string policy;  ///< label of the variant
  std::string budget;  ///< as asked for; "full"
  Lane lane;
};

struct FidelityPlan {
  std::vector<llama_token> tokens;
  /// The first tokens, which are the prompt: pinned as the lanes say, and not measured but for what
  /// the last of them predicts. 0: the text has no prompt, and nothing is pinned.
  std::int64_t n_prompt = 0;
  std::vector<FidelityEntry> entries;
  std::size_t n_vocab = 0;
  std::int32_t bucket = 512;  ///< positions that are averaged
  LaneHost host;
  /// Called after each step with positions done and in all; false stops.
  std::function<bool(std::int64_t, std::int64_t)> progress;
};

/// Means over the positions [from, to) of one entry.
struct FidelityBucket {
  std::string policy, budget;
  std::int32_t rows = 0;
  std::int64_t from = 0, to = 0;
  double kl = 0;                   ///< KL(full f16 cache || policy), nats a token
  double nll = 0;                  ///< of the text's next token under the policy, nats
  double nll_full = 0;             ///< the same under the full cache
  double same_top = 0;             ///< share of positions with the same likeliest token
  std::int64_t peak_kv_bytes = 0;  ///< of the entry's rows at their most in the whole text
};

/// Reads the text in steps that never reach over an eviction: a bounded cache evicts exactly where
/// decoding token by token would. The full cache that the entries are compared with has f16 rows,
/// whatever types theirs have. Full and bounded caches go side by side, so nothing but one
/// step's logits is kept. Returns whole buckets, and the last one however long it is; entry by
/// entry. What was read when `progress` stopped it counts. Throws Error.
std::vector<FidelityBucket> measure_fidelity(const FidelityPlan &plan);

/// One bucket over all positions for each entry, in the order of the buckets.
std::vector<FidelityBucket> overall(const std::vector<FidelityBucket> &buckets);

nlohmann::ordered_json to_json(const FidelityBucket &bucket);
/// Throws nlohmann::json::exception if a field is missing or of another type.
FidelityBucket bucket_from_json(const nlohmann::json &line);

}  // namespace vase::eval
