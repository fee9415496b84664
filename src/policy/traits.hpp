// What a policy is besides its formula: plain data, and all that other rooms ask about it. Nothing
// outside src/policy knows a policy by its name.
#ifndef VASE_POLICY_TRAITS_HPP
#define VASE_POLICY_TRAITS_HPP

#include <cstdint>
#include <optional>
#include <string_view>

namespace vase {

/// How a policy chooses among the candidates that it scored.
enum class Choice : int32_t {
  kHighest,  ///< keep the highest scores
  kLowest,   ///< keep the lowest
  kDraw,     ///< draw without replacement, with probability proportional to the score
};

/// What it protects from that choice.
enum class Protect : int32_t {
  kNothing,
  kWidestValues,  ///< the widest value ranges, vase_params.protect of them
  kRandom,        ///< as many rows, drawn
};

/// The scores that src/cuda has kernels for: the device's part of a policy's recipe, which together
/// with what it protects and how it chooses is all of it.
enum class DeviceScore : int32_t {
  kEqual,           ///< 1
  kAge,             ///< rank in token order
  kValueRange,      ///< max - min of the value
  kAttention,       ///< pooled attention of the newest queries
  kAttentionSoFar,  ///< vase_layer.sums and the attention of the newest queries
  kRedundancy,      ///< R-KV: attention against redundancy
  kLeverage,        ///< CUR
  kNovelty,         ///< novelty of the key, times distance of the value from the mean
  kHeededNovelty,   ///< novelty, times the root of that distance and a power of attention
  kUsualAttention,  ///< TriAttention: what a head's usual queries would attend to
  kKeyDiff,         ///< how little the key looks like the mean of all unit keys
};

/// Parameters that only some policies look at, as bits. All that evict look at budget, recency
/// window, interval, sinks and pin.
enum Parameter : uint32_t {
  kWindow = 1U << 0,
  kPooling = 1U << 1,
  kTemperature = 1U << 2,
  kProtect = 1U << 3,
  kLambda = 1U << 4,
  kProjections = 1U << 5,
  kResample = 1U << 6,
};
/// Those of attention weights.
inline constexpr uint32_t kAttentionParameters = kWindow | kPooling | kTemperature;

/// Counts of rows that go with a budget.
struct Pace {
  int32_t recency;   ///< newest rows, always kept
  int32_t interval;  ///< rows between two evictions
};
constexpr Pace published_pace(int32_t /*budget*/) { return {64, 64}; }

struct Traits {
  bool evicts = true;        ///< false: it keeps everything
  bool ablation = false;     ///< there to show what a part of another policy is worth
  bool queries = false;      ///< it reads the newest queries (vase_layer.queries)
  int32_t every = 1;         ///< of those only each so many-th, the last among them
  bool sums = false;         ///< what it finds of a row is added to vase_layer.sums
  bool calibration = false;  ///< it reads what was measured of queries (vase_layer.calibration)
  bool rope = false;         ///< it reads keys as they were before RoPE (vase_layer.rope)
  uint32_t parameters = 0;   ///< Parameter bits that it looks at
  Protect protect = Protect::kNothing;
  Choice choice = Choice::kHighest;
  /// Where the user says nothing: the share of the budget up to which the prompt is pinned ...
  float pin = 0.0f;
  /// ... and the pace, as a function of the budget.
  Pace (*pace)(int32_t budget) = published_pace;
  /// Nothing: it has no kernels, and rows on a CUDA device are evicted through the host.
  std::optional<DeviceScore> device_score = {};
};

/// Whether a policy of these traits looks at the parameter that vase_params (or vase_layer, for
/// "pin_prompt") calls `name`. False for names that nobody knows.
bool looks_at(const Traits& traits, std::string_view name);

}  // namespace vase

#endif
