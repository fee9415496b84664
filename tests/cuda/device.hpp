// Copies of test data in device memory, and the calls of vase/cuda.h on them.
#ifndef VASE_TESTS_CUDA_DEVICE_HPP
#define VASE_TESTS_CUDA_DEVICE_HPP

#include <cuda_runtime_api.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "vase/cuda.h"

namespace vase::testing {

/// Why there is nothing to run on; empty if there is a device.
inline std::string no_device() {
  int count = 0;
  const cudaError_t error = cudaGetDeviceCount(&count);
  if (error == cudaSuccess && count > 0) return "";
  (void)cudaGetLastError();
  return std::string("no CUDA device here: ") +
         (error != cudaSuccess ? cudaGetErrorString(error) : "none is there");
}

inline void expect_cuda(cudaError_t error) {
  if (error != cudaSuccess) throw std::runtime_error(cudaGetErrorString(error));
}

template <typename T>
class DeviceArray {
 public:
  explicit DeviceArray(size_t count) : count_(count) {
    void* memory = nullptr;
    expect_cuda(cudaMalloc(&memory, count * sizeof(T) + 1));
    data_.reset(static_cast<T*>(memory));
  }
  explicit DeviceArray(const std::vector<T>& host) : DeviceArray(host.size()) { write(host); }

  void write(const std::vector<T>& host) {
    expect_cuda(cudaMemcpy(data(), host.data(), host.size() * sizeof(T), cudaMemcpyHostToDevice));
  }
  std::vector<T> read() const {
    std::vector<T> host(count_);
    expect_cuda(cudaMemcpy(host.data(), data(), count_ * sizeof(T), cudaMemcpyDeviceToHost));
    return host;
  }
  T* data() const { return data_.get(); }

 private:
  struct Free {
    void operator()(T* memory) const { cudaFree(memory); }
  };
  size_t count_;
  std::unique_ptr<T, Free> data_;
};

/// A layer copied to the device. The host's layer must outlive this: its cells are used in place.
class DeviceLayer {
 public:
  /// `n_cells` cells of rows are there, as many as the largest of layer.cells.
  DeviceLayer(const vase_layer& layer, int32_t n_cells)
      : host_(layer),
        n_cells_(n_cells),
        keys_(bytes(layer.keys)),
        values_(bytes(layer.values)),
        queries_(queries()),
        frequencies_(frequencies()),
        calibration_(calibration()),
        positions_(by_cell(layer.positions, -1)),
        sums_(by_cell(layer.sums, 0.0f)) {}

  vase_cuda_item item() const {
    vase_cuda_item item{};
    item.layer = host_;
    item.layer.keys.data = keys_.data();
    item.layer.values.data = values_.data();
    item.layer.queries = host_.queries != nullptr ? queries_.data() : nullptr;
    if (host_.rope.frequencies != nullptr) item.layer.rope.frequencies = frequencies_.data();
    if (host_.calibration != nullptr) item.layer.calibration = calibration_.data();
    item.layer.positions = nullptr;
    item.positions = host_.positions != nullptr ? positions_.data() : nullptr;
    item.position_stride = n_cells_;
    item.layer.sums = nullptr;
    item.sums = host_.sums != nullptr ? sums_.data() : nullptr;
    return item;
  }

  std::vector<std::byte> keys() const { return keys_.read(); }
  std::vector<std::byte> values() const { return values_.read(); }
  /// [n_heads][n_cells]
  std::vector<int32_t> positions() const { return positions_.read(); }
  std::vector<float> sums() const { return sums_.read(); }
  int32_t cell(int32_t row) const { return host_.cells != nullptr ? host_.cells[row] : row; }
  int32_t n_cells() const { return n_cells_; }

 private:
  std::vector<std::byte> bytes(const vase_rows& rows) const {
    const auto* first = static_cast<const std::byte*>(rows.data);
    return {first, first + n_cells_ * rows.row_stride};
  }
  std::vector<float> queries() const {
    if (host_.queries == nullptr) return {};
    const size_t count = static_cast<size_t>(host_.n_query_heads) *
                         static_cast<size_t>(host_.n_queries) * static_cast<size_t>(host_.keys.dim);
    return {host_.queries, host_.queries + count};
  }
  std::vector<float> frequencies() const {
    if (host_.rope.frequencies == nullptr) return {};
    return {host_.rope.frequencies, host_.rope.frequencies + host_.rope.pairs};
  }
  std::vector<float> calibration() const {
    if (host_.calibration == nullptr) return {};
    return {host_.calibration,
            host_.calibration + int64_t{host_.n_query_heads} * 3 * (host_.keys.dim / 2)};
  }
  /// `by_row`: [n_heads][n_rows], or null.
  template <typename T>
  std::vector<T> by_cell(const T* by_row, T elsewhere) const {
    std::vector<T> out(static_cast<size_t>(host_.n_heads) * static_cast<size_t>(n_cells_),
                       elsewhere);
    if (by_row == nullptr) return out;
    for (int32_t h = 0; h < host_.n_heads; ++h)
      for (int32_t i = 0; i < host_.n_rows; ++i)
        out[static_cast<size_t>(h * n_cells_ + cell(i))] = by_row[h * host_.n_rows + i];
    return out;
  }

  vase_layer host_;
  int32_t n_cells_;
  DeviceArray<std::byte> keys_, values_;
  DeviceArray<float> queries_, frequencies_, calibration_;
  DeviceArray<int32_t> positions_;
  DeviceArray<float> sums_;
};

/// A handle for items like `item`.
class Handle {
 public:
  explicit Handle(const vase_cuda_limits& limits) : limits_(limits) {
    if (vase_cuda_create(&limits, &cuda_) != VASE_OK) throw std::runtime_error(vase_last_error());
  }
  ~Handle() { vase_cuda_destroy(cuda_); }
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;

  vase_cuda* get() const { return cuda_; }
  const vase_cuda_limits& limits() const { return limits_; }

  static vase_cuda_limits limits_for(const vase_layer& layer, int32_t items = 1,
                                     int32_t sequences = 1) {
    return {.items = items,
            .sequences = sequences,
            .n_heads = layer.n_heads,
            .n_query_heads = std::max(layer.n_heads, layer.n_query_heads),
            .n_rows = layer.n_rows,
            .n_queries = layer.n_queries,
            .keys_dim = layer.keys.dim,
            .values_dim = layer.values.dim};
  }

 private:
  vase_cuda_limits limits_;
  vase_cuda* cuda_ = nullptr;
};

/// [n_heads][limits.n_rows] masks of one item after another, as vase_cuda_select leaves them.
inline std::vector<uint8_t> select_on_device(const Handle& handle, const vase_params& params,
                                             const std::vector<vase_cuda_item>& items) {
  const DeviceArray<uint8_t> keep(
      std::vector<uint8_t>(items.size() * static_cast<size_t>(items[0].layer.n_heads) *
                               static_cast<size_t>(handle.limits().n_rows),
                           2));
  EXPECT_EQ(vase_cuda_select(handle.get(), &params, items.data(),
                             static_cast<int32_t>(items.size()), keep.data(), nullptr),
            VASE_OK)
      << vase_last_error();
  return keep.read();
}

inline std::vector<float> scores_on_device(const Handle& handle, const vase_params& params,
                                           const std::vector<vase_cuda_item>& items) {
  const DeviceArray<float> scores(
      std::vector<float>(items.size() * static_cast<size_t>(items[0].layer.n_heads) *
                             static_cast<size_t>(handle.limits().n_rows),
                         -1));
  EXPECT_EQ(vase_cuda_scores(handle.get(), &params, items.data(),
                             static_cast<int32_t>(items.size()), scores.data(), nullptr),
            VASE_OK)
      << vase_last_error();
  return scores.read();
}

}  // namespace vase::testing

#endif
