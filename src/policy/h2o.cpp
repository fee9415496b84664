// H2O (arXiv 2306.14048): keep the rows that were attended to most so far, and the newest half.
#include <algorithm>

#include "policy/policy.hpp"
#include "score/attention.hpp"
#include "score/spoilt_rows.hpp"

namespace vase {
namespace {

class H2o final : public Policy {
 public:
  const char* name() const override { return "h2o"; }
  const char* summary() const override {
    return "keeps the newest half and the highest attention so far (H2O)";
  }
  Traits traits() const override {
    return {.queries = true,
            .sums = true,
            .parameters = kWindow | kTemperature,
            .pace = pace,
            .device_score = DeviceScore::kAttentionSoFar};
  }

  /// As published: half of the budget for the newest rows.
  static Pace pace(int32_t budget) { return {budget / 2, published_pace(budget).interval}; }

  /// The sum over the queries, averaged over the heads of the group, of their attention to rows
  /// that are older than all of them.
  void score(const Head& all, const Workbench& bench, std::span<float> out) const override {
    const int32_t n_queries = all.layer->n_queries, n = std::max(0, all.size() - n_queries);
    const DenseRows keys = dense_keys(all, bench.kernels, bench.arena);
    const std::span<float> attended = out.first(static_cast<size_t>(n));
    if (n > 0) attend(all, bench, {keys.data, n, keys.stride}, attended);
    for (float& weight : attended) weight *= static_cast<float>(n_queries);
    const std::span<float> others = out.subspan(attended.size());
    std::fill(others.begin(), others.end(), 0.0f);
    replace_spoilt({keys.row(n), all.size() - n, keys.stride}, bench.kernels, 0.0f,
                   [&](int32_t i) { others[static_cast<size_t>(i)] = kSpoilt; });
  }

  size_t workspace(const vase_params&, const vase_layer& layer, int32_t n) const override {
    return dense_keys_bytes(layer, n) + attention_weights_bytes(layer, n);
  }

 private:
  /// The weights of the oldest rows of a head, whose keys are given.
  static void attend(const Head& all, const Workbench& bench, DenseRows keys,
                     std::span<float> out) {
    const size_t n = out.size();
    const Head older{all.layer, all.index, all.rows.first(n), all.cells.first(n),
                     all.positions.first(n)};
    vase_params unpooled = bench.params;
    unpooled.pooling = 1;
    attention_weights(older, unpooled, bench.kernels, keys, bench.arena, out);
  }
};

}  // namespace

const Policy& h2o_policy_instance() {
  static const H2o policy;
  return policy;
}

}  // namespace vase
