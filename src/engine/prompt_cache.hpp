// Sequences put aside by the tokens that they have read, so that a prompt which goes on from one of
// them is not read again.
#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "llama.h"
#include "vase/vase.h"

namespace vase::engine {

/// What the rows of a sequence depend on beside its tokens.
struct ReadingRule {
  std::string policy = {};  ///< with its budget and all other options but the seed: policy_text()
  std::uint64_t seed = 0;
  std::uint32_t draw_stream = 0;
  /// The rows are those that reading the tokens at once leaves: nothing was evicted while a part of
  /// them was generated, or by other draws.
  bool as_read = true;

  bool operator==(const ReadingRule &) const = default;
};

/// A policy, its parameters but the seed, and the share of the prompt that is pinned, as text:
/// equal for two sequences that may go on from each other.
std::string policy_text(const vase_params &params, float pin_prompt);

/// What a request wants to go on from.
struct PrefixWish {
  std::span<const llama_token> tokens;  ///< of the prompt
  ReadingRule rule = {};
  /// Nobody said a seed, so it does not matter when the evictions so far were, and what they drew.
  bool any_draws = false;

  /// Whether a sequence that was read by `other` and evicted from so often may be gone on from.
  bool allows(const ReadingRule &other, std::int64_t evictions) const;
};

struct PutAside {
  std::vector<llama_token> tokens = {};  ///< that were read
  ReadingRule rule = {};
  std::int64_t evictions = 0;
  std::vector<std::byte> bytes = {};  ///< BoundedContext::save()

  /// Bytes that it takes.
  std::uint64_t size() const { return bytes.size() + tokens.size() * sizeof(llama_token); }
};

/// Tokens of `held` if `prompt` begins with them and goes on behind them, else 0: the last token of
/// a prompt is always read, since its logits are in no snapshot.
std::size_t shared_prefix(std::span<const llama_token> held, std::span<const llama_token> prompt);

/// Holds what was put aside, up to a limit; what was not asked for longest goes first.
class PromptCache {
 public:
  /// Shorter texts are read faster than taken back.
  static constexpr std::size_t kLeastTokens = 32;

  explicit PromptCache(std::uint64_t limit_bytes) : limit_(limit_bytes) {}

  /// The longest one that the prompt begins with; null: none. Valid until the next put() or drop().
  const PutAside *find(const PrefixWish &wish);
  /// Whether there is one of exactly these tokens.
  bool holds(const PrefixWish &wish) const;
  /// Takes one in, if it fits the limit at all: false if not.
  bool put(PutAside put_aside);
  /// Lets one that find() returned go: it turned out to be of no use.
  void drop(const PutAside *put_aside);

  std::uint64_t bytes() const { return bytes_; }
  std::uint64_t limit() const { return limit_; }
  std::size_t size() const { return all_.size(); }
  /// What was asked for last comes first. Others may hold on to one that is let go meanwhile.
  const std::list<std::shared_ptr<const PutAside>> &all() const { return all_; }

 private:
  std::uint64_t limit_;
  std::uint64_t bytes_ = 0;
  std::list<std::shared_ptr<const PutAside>> all_;
};

}  // namespace vase::engine
