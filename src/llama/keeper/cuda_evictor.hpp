// Evictions by the CUDA kernels of vase/cuda.h, on the devices where llama.cpp keeps the cache.
#ifndef VASE_LLAMA_KEEPER_CUDA_EVICTOR_HPP
#define VASE_LLAMA_KEEPER_CUDA_EVICTOR_HPP

#include <memory>
#include <string>
#include <vector>

#include "llama/keeper/cuda_device.hpp"
#include "llama/keeper/cuda_queries.hpp"
#include "llama/keeper/evictor.hpp"
#include "vase/cuda.h"

namespace vase {

class CudaEvictor final : public Evictor, private QueryStore {
 public:
  /// All rows lie on CUDA devices, in shapes that the kernels take.
  static bool reaches(std::span<const CacheLayer> layers);

  /// What the layers of a part have in common.
  struct Shape {
    int32_t n_heads = 0, n_query_heads = 0;
    int32_t keys_dim = 0, values_dim = 0;
  };
  /// bytes() of an evictor for `layers` layers of one shape on one device.
  static size_t bytes_needed(const vase_params &params, const Shape &shape, size_t layers,
                             int32_t cells, int32_t n_sequences);

  /// As make_evictor.
  CudaEvictor(const vase_params &params, std::span<const CacheLayer> layers, int32_t cells,
              int32_t n_sequences);

  int32_t survivor_heads() const override { return 0; }
  QueryStore *queries() override { return window_ > 0 ? this : nullptr; }
  size_t bytes() const override;
  void reserve(const vase_params &params) override;
  void evict(std::span<Eviction> evictions, const FreeLabels &free_labels) override;
  void copy(int32_t from, int32_t to) override;
  KeptOfSequence save(int32_t stream, const SequenceRows &rows) const override;
  void restore(int32_t stream, const SequenceRows &rows, const KeptOfSequence &kept) override;
  std::vector<int32_t> positions(int32_t stream, size_t layer, int32_t head,
                                 const SequenceRows &rows) const override;

 private:
  struct Destroy {
    void operator()(vase_cuda *cuda) const { vase_cuda_destroy(cuda); }
  };
  // Layers of one shape on one device.
  struct Part {
    int device = 0;
    std::vector<size_t> layers;
    Stream stream;
    CudaQueries queries;
    DeviceArray<int32_t> positions;  // [layers][sequences][heads][cells]
    DeviceArray<float> sums;         // the same, if queries are kept: for policies that sum up
    DeviceArray<int32_t> moved;      // [sequences][layers][heads]
    DeviceArray<float> frequencies;  // [layers][pairs] of RoPE
    DeviceArray<float> calibration;  // [layers], each as vase_layer has it; none: not measured
    std::vector<int32_t> moved_copy;
    std::vector<LayerQueries> stored;  // of one call of store(), layers as the part counts them
    std::unique_ptr<vase_cuda, Destroy> cuda;
  };

  // QueryStore
  int32_t window() const override { return window_; }
  void store(std::span<const LayerQueries> layers,
             std::span<const WantedQuery> wanted) noexcept override;

  std::unique_ptr<Part> make_part(std::vector<size_t> layers) const;
  // Where a layer's array for a sequence starts, in the part's array for all of them.
  template <typename T>
  T *own_of(const DeviceArray<T> &all, const Part &part, size_t index, int32_t stream) const;
  int32_t *positions_of(const Part &part, size_t index, int32_t stream) const;
  // [n_heads][cells] of a layer, by cell; none where the part keeps none.
  template <typename T>
  std::vector<T> read(DeviceArray<T> Part::*all, size_t layer, int32_t stream) const;
  // Of all layers and heads the survivors', one after the other.
  template <typename T>
  std::vector<T> read_survivors(DeviceArray<T> Part::*all, int32_t stream,
                                const SequenceRows &rows) const;
  // And back.
  template <typename T>
  void write_survivors(DeviceArray<T> Part::*all, int32_t stream, const SequenceRows &rows,
                       const std::vector<T> &values);
  size_t heads_of_all_layers() const;
  size_t queries_of_sequence() const;
  vase_cuda_item describe(const Part &part, size_t index, const Eviction &eviction) const;
  std::vector<vase_cuda_item> items_of(const Part &part, std::span<Eviction *const> group) const;
  /// Throws Error if libvase will refuse to evict from the group, which shares all parameters.
  void check(std::span<Eviction *const> group) const;
  void launch(Part &part, std::span<Eviction *const> group) const;
  void evict_group(std::span<Eviction *const> group, const FreeLabels &free_labels);

  std::span<const CacheLayer> layers_;
  int32_t cells_, n_sequences_;
  int32_t window_ = 0;
  std::vector<std::unique_ptr<Part>> parts_;
  struct Place {
    size_t part, index;
  };
  std::vector<Place> places_;  // [layers]
  std::string capture_error_;  // the first one since the last eviction
};

}  // namespace vase

#endif
