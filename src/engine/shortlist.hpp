// The first filter of a sampler, over the whole vocabulary: the few tokens that it leaves. What
// llama.cpp's samplers of the same name keep, without an entry for each token of the vocabulary.
// Tokens of equal logits are taken in the order of the vocabulary.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/logit_blocks.hpp"
#include "llama.h"

namespace vase::engine {

/// top-k: the `k` largest logits, the largest first.
void shortlist_top_k(LogitBlocks &logits, std::int32_t k, std::vector<llama_token_data> &tokens);
/// top-p: the fewest tokens that have `p` < 1 of the probability together, at least one, the
/// largest first. The largest logit must be finite.
void shortlist_top_p(LogitBlocks &logits, float p, std::vector<llama_token_data> &tokens);
/// min-p: the tokens that are at least `p` times as likely as the likeliest, in the order of the
/// vocabulary. 0: all.
void shortlist_min_p(const LogitBlocks &logits, float p, std::vector<llama_token_data> &tokens);

}  // namespace vase::engine
