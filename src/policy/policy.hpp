// What an eviction policy is: what it protects, how it scores the other candidates, how it chooses
// among them.
#ifndef VASE_POLICY_POLICY_HPP
#define VASE_POLICY_POLICY_HPP

#include <cstdint>
#include <span>

#include "core/arena.hpp"
#include "core/head.hpp"
#include "core/keep_set.hpp"
#include "policy/traits.hpp"
#include "score/kernels.hpp"
#include "vase/vase.h"

namespace vase {

/// What a policy works with besides the head.
struct Workbench {
  const vase_params& params;
  const Kernels& kernels;
  Arena& arena;
};

/// A policy has no state of its own; its parameters come with each call. It is called with a head
/// whose sinks and pinned rows are kept already.
class Policy {
 public:
  virtual ~Policy() = default;

  virtual const char* name() const = 0;
  /// One line for a table.
  virtual const char* summary() const = 0;
  virtual Traits traits() const = 0;

  /// Adds to `keep` the candidates that are safe from the choice by score.
  virtual void protect(const Head& /*head*/, const Workbench& /*bench*/, KeepSet& /*keep*/) const {}
  /// Scores all candidates: out[n]. Of a policy that sums up (Traits::sums) it is asked for all
  /// rows of the head, the recency window's among the candidates: what it finds of each row this
  /// time.
  virtual void score(const Head& head, const Workbench& bench, std::span<float> out) const = 0;
  /// Bytes that protect() and score() take from the arena together, for n candidates.
  virtual size_t workspace(const vase_params& params, const vase_layer& layer, int32_t n) const = 0;
};

}  // namespace vase

#endif
