// Evictions on the CPU, on several threads.
#ifndef VASE_LLAMA_KEEPER_HOST_EVICTOR_HPP
#define VASE_LLAMA_KEEPER_HOST_EVICTOR_HPP

#include <functional>
#include <mutex>
#include <string>

#include "core/thread_pool.hpp"
#include "llama/keeper/evictor.hpp"
#include "llama/keeper/query_rings.hpp"

namespace vase {

class HostEvictor final : public Evictor {
 public:
  /// As make_evictor. `always_copy`: work on host copies even where the cache is on the host (for
  /// tests).
  HostEvictor(const vase_params &params, std::span<const CacheLayer> layers, int32_t cells,
              int32_t n_sequences, int n_threads, bool always_copy = false);

  int32_t survivor_heads() const override { return static_cast<int32_t>(heads_.size()); }
  QueryStore *queries() override { return rings_.window() > 0 ? &rings_ : nullptr; }
  size_t bytes() const override;
  void reserve(const vase_params &params) override;
  void evict(std::span<Eviction> evictions, const FreeLabels &free_labels) override;
  void copy(int32_t from, int32_t to) override { rings_.copy(from, to); }
  KeptOfSequence save(int32_t stream, const SequenceRows & /*rows*/) const override {
    return {.survivors = {}, .sums = {}, .queries = rings_.save(stream)};
  }
  void restore(int32_t stream, const SequenceRows & /*rows*/, const KeptOfSequence &kept) override {
    rings_.restore(stream, kept.queries);
  }
  std::vector<int32_t> positions(int32_t stream, size_t layer, int32_t head,
                                 const SequenceRows &rows) const override;

  /// The cache is not where the CPU can reach it, so rows travel to the host and back.
  bool works_on_copies() const { return copies_; }
  QueryRings &rings() { return rings_; }

 private:
  struct Head {
    size_t layer;
    int32_t head;  // within the layer
  };

  void evict_one(Eviction &eviction, const FreeLabels &free_labels);
  void for_each_head(const std::function<void(int, int)> &task, bool moves);
  void select(size_t index, int worker);
  void move(size_t index);
  void carry(size_t layer);
  vase_layer describe_now(size_t layer);
  // Layers of one choice share a mask.
  uint8_t *keep_of(size_t layer) {
    return keep_.data() + first_head_[layers_[layer].chooser.value_or(layer)] * cells_;
  }
  template <typename T>
  std::span<T> own(std::vector<T> &all, size_t index) const;
  bool sums_up() const { return vase_policy_sums_up(eviction_->params.policy) != 0; }
  void note(vase_status status);

  std::span<const CacheLayer> layers_;
  std::vector<Head> heads_;
  std::vector<size_t> first_head_;  // [layers + 1]
  size_t cells_;
  bool copies_;
  QueryRings rings_;
  ThreadPool pool_;
  std::vector<std::vector<std::byte>> workspaces_;      // [workers]
  std::vector<uint8_t> keep_;                           // [heads][cells]
  std::vector<int32_t> positions_;                      // [heads][cells]
  std::vector<float> sums_;                             // [heads][cells] if a policy sums up
  std::vector<int64_t> moved_;                          // [heads]
  std::vector<std::byte> key_copy_, value_copy_;        // one stream of one layer
  std::vector<std::vector<std::byte>> carried_copies_;  // the same of what is carried along

  // Of the running eviction.
  std::function<void(int, int)> select_, move_;
  size_t task_first_head_ = 0;
  const Eviction *eviction_ = nullptr;
  std::mutex error_mutex_;
  std::string error_;
};

}  // namespace vase

#endif
