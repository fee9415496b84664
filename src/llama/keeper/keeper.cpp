#include "llama/keeper/keeper.hpp"

#include <algorithm>
#include <string>
#include <tuple>

#include "llama/keeper/warnings.hpp"

namespace vase {
namespace {

// What the rows and queries of a sequence are kept for.
auto frame_of(const vase_params &p) {
  return std::tuple(p.budget, p.interval, p.window, vase_policy_needs_queries(p.policy));
}

bool is_calibrated(std::span<const CacheLayer> layers) {
  return std::ranges::none_of(layers,
                              [](const CacheLayer &layer) { return layer.calibration.empty(); });
}

}  // namespace

Keeper::Keeper(const KeeperOptions &options, std::unique_ptr<Labels> labels, Watcher *watcher,
               std::unique_ptr<Evictor> evictor)
    : options_(options),
      labels_(std::move(labels)),
      watcher_(watcher),
      evictor_(std::move(evictor)),
      ledger_(options.n_sequences, evictor_ ? evictor_->survivor_heads() : 0,
              evictor_ ? options.policy.budget : 0, options.cells) {
  for (int32_t i = 0; i < options_.n_sequences; ++i)
    treatments_.push_back({options_.policy, options_.pin_prompt, static_cast<uint32_t>(i)});
  if (watcher_ == nullptr) return;
  watcher_->capture_queries(evictor_->queries());
  look_at_rope(options_.policy);
}

const Keeper::Treatment &Keeper::treatment(int32_t sequence) const {
  ledger_.rows(sequence);  // is it there?
  return treatments_[static_cast<size_t>(sequence)];
}

Keeper::Treatment &Keeper::treatment(int32_t sequence) {
  return const_cast<Treatment &>(std::as_const(*this).treatment(sequence));
}

std::span<const CacheLayer> Keeper::layers() const {
  return watcher_ != nullptr ? std::span<const CacheLayer>(watcher_->layers())
                             : std::span<const CacheLayer>();
}

// Says once if `params` want what is not known of the model.
void Keeper::look_at_rope(const vase_params &params) {
  if (warned_of_rope_ || !misses_rope(params, layers())) return;
  warned_of_rope_ = true;
  warn_of_missing_rope(params.policy);
}

void Keeper::set_params(int32_t sequence, const vase_params &params, float pin_prompt) {
  Treatment &own = treatment(sequence);
  if (vase_params_check(&params) != VASE_OK) throw Error(vase_last_error());
  if (!evictor_ || vase_policy_evicts(params.policy) == 0)
    throw Error("policy " + std::string(vase_policy_name(params.policy)) +
                " cannot be set for one sequence: all evict or none does");
  if (ledger_.tokens(sequence) > 0 && frame_of(params) != frame_of(own.params))
    throw Error("a sequence that is not empty keeps its budget, interval and window");
  if (params.budget > options_.policy.budget)
    throw Error("budget " + std::to_string(params.budget) + " is above the context's, " +
                std::to_string(options_.policy.budget));
  if (int64_t{params.budget} + params.interval > options_.cells)
    throw Error("budget + interval is " + std::to_string(int64_t{params.budget} + params.interval) +
                ", but a sequence has " + std::to_string(options_.cells) + " cells");
  if (!(pin_prompt >= 0.0f && pin_prompt <= 0.9f))
    throw Error("pinned share of the prompt " + std::to_string(pin_prompt) +
                " is not in 0 to 0.9 of the budget");
  const int32_t window = evictor_->queries() != nullptr ? evictor_->queries()->window() : 0;
  if (vase_policy_needs_queries(params.policy) != 0 && window != params.window)
    throw Error("policy " + std::string(vase_policy_name(params.policy)) +
                " scores by the newest " + std::to_string(params.window) +
                " queries, but the context keeps " + std::to_string(window));
  if (vase_policy_needs_calibration(params.policy) != 0 && !is_calibrated(layers()))
    throw Error("policy " + std::string(vase_policy_name(params.policy)) +
                " needs what was measured of the model's queries, and the context was given no "
                "calibration (BoundedOptions::calibration)");
  evictor_->reserve(params);
  look_at_rope(params);
  own.params = params;
  own.pin_prompt = pin_prompt;
}

std::vector<int32_t> Keeper::positions(int32_t sequence, int32_t layer, int32_t head) const {
  return evictor_->positions(sequence, static_cast<size_t>(layer), head, ledger_.rows(sequence));
}

HeadRows Keeper::look_at(int32_t sequence, int32_t layer, int32_t head) const {
  HeadRows rows;
  rows.positions = positions(sequence, layer, head);
  const Eviction eviction = next_eviction(sequence);
  ValueReport values = look_at_values(layers()[static_cast<size_t>(layer)], head, eviction,
                                      ledger_.rows(sequence), rows.positions);
  rows.value_ranges = std::move(values.ranges);
  rows.n_protected = values.n_protected;
  rows.pinned = eviction.pinned;
  return rows;
}

}  // namespace vase
