#include "eval/lanes.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "eval/cache_rows.hpp"

namespace vase::eval {
namespace {

bool evicts(const vase_params &params) { return vase_policy_evicts(params.policy) != 0; }

BoundedOptions options_for(const LaneHost &host, const std::vector<Lane> &lanes) {
  const auto budget = [](const Lane &lane) { return lane.params.budget; };
  BoundedOptions options{.policy = std::ranges::max_element(lanes, {}, budget)->params,
                         .n_sequences = static_cast<std::int32_t>(lanes.size()),
                         .context = host.context};
  if (evicts(options.policy)) {
    std::int32_t most = 0;
    for (const Lane &lane : lanes) most = std::max(most, lane.params.budget + lane.params.interval);
    options.policy.interval = most - options.policy.budget;
  }
  const auto at_once = static_cast<std::uint32_t>(host.chunk * options.n_sequences);
  options.context.n_batch = std::max(options.context.n_batch, at_once);
  options.context.n_ctx = static_cast<std::uint32_t>(host.n_ctx);
  return options;
}

}  // namespace

Lanes::Lanes(const LaneHost &host, const std::vector<Lane> &lanes)
    : made_(make_selecting_context(host.make_context, options_for(host, lanes),
                                   lanes.front().selection.has_value())),
      most_rows_(lanes.size()) {
  for (std::int32_t i = 0; i < size(); ++i) {
    const Lane &lane = lanes[static_cast<std::size_t>(i)];
    if (lane.selection) {
      made_.selector->select(i, SelectionParams{*lane.selection, lane.params.budget});
      made_.selector->set_prompt_end(i, lane.n_prompt);
    }
    if (!evicts(lane.params)) continue;
    made_.context.set_params(i, lane.params, lane.pin_prompt);
    made_.context.set_draw_stream(i, 0);
  }
}

std::int64_t Lanes::largest_step() const {
  std::int64_t least = std::numeric_limits<std::int32_t>::max();
  for (std::int32_t i = 0; i < size(); ++i) {
    const vase_params &params = made_.context.params(i);
    least = std::min<std::int64_t>(least, made_.context.room(i));
    if (!evicts(params)) continue;
    const std::int64_t left = params.budget + params.interval - made_.context.statistics(i).rows;
    least = std::min<std::int64_t>(least, left > 0 ? left : params.interval);
  }
  return least;
}

void Lanes::decode(std::span<const llama_token> tokens) {
  std::vector<SequenceInput> inputs;
  for (std::int32_t i = 0; i < size(); ++i) {
    inputs.push_back({.sequence = i, .tokens = tokens, .all_logits = true});
  }
  made_.context.decode(inputs);
  if (made_.selector) made_.selector->check();
  for (std::int32_t i = 0; i < size(); ++i) {
    std::int32_t &most = most_rows_[static_cast<std::size_t>(i)];
    most = std::max(most, made_.context.statistics(i).rows);
  }
}

void Lanes::set_prompt_end() {
  for (std::int32_t i = 0; i < size(); ++i) made_.context.set_prompt_end(i);
}

std::int64_t Lanes::peak_kv_bytes(std::int32_t lane) const {
  return std::llround(most_rows_[static_cast<std::size_t>(lane)] * bytes_per_row(made_.context));
}

const float *Lanes::logits(std::int32_t lane, std::int32_t token) const {
  return llama_get_logits_ith(made_.context.get(), made_.context.logits_index(lane, token));
}

}  // namespace vase::eval
