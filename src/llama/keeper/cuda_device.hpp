// Owners of what the CUDA runtime gives out.
#ifndef VASE_LLAMA_KEEPER_CUDA_DEVICE_HPP
#define VASE_LLAMA_KEEPER_CUDA_DEVICE_HPP

#include <cuda_runtime_api.h>

#include <cstddef>
#include <string>
#include <utility>

#include "ggml.h"
#include "vase/llama.hpp"

namespace vase {

/// Throws Error if `status` is one. `doing`: what was tried, for the message.
inline void check_cuda(cudaError_t status, const char *doing) {
  if (status != cudaSuccess)
    throw Error(std::string("CUDA failed while ") + doing + ": " + cudaGetErrorString(status));
}

/// The CUDA device that `tensor` lies on; -1: none.
inline int device_of(const ggml_tensor *tensor) {
  cudaPointerAttributes attributes{};
  if (cudaPointerGetAttributes(&attributes, tensor->data) != cudaSuccess) {
    cudaGetLastError();  // forget it
    return -1;
  }
  return attributes.type == cudaMemoryTypeDevice ? attributes.device : -1;
}

/// Makes a device the current one of this thread, and the former one again afterwards: llama.cpp
/// works on the same thread.
class CurrentDevice {
 public:
  explicit CurrentDevice(int device) {
    cudaGetDevice(&before_);
    if (before_ != device) cudaSetDevice(device);
    changed_ = before_ != device;
  }
  ~CurrentDevice() {
    if (changed_) cudaSetDevice(before_);
  }
  CurrentDevice(const CurrentDevice &) = delete;
  CurrentDevice &operator=(const CurrentDevice &) = delete;

 private:
  int before_ = 0;
  bool changed_ = false;
};

/// An array in the memory of the device that was current when it was made, all zero.
template <typename T>
class DeviceArray {
 public:
  DeviceArray() = default;
  explicit DeviceArray(size_t count) : count_(count) {
    if (count == 0) return;
    void *data = nullptr;
    check_cuda(cudaMalloc(&data, bytes()), "allocating working memory of evictions");
    data_ = static_cast<T *>(data);
    check_cuda(cudaMemset(data_, 0, bytes()), "clearing working memory of evictions");
  }
  ~DeviceArray() { cudaFree(data_); }
  DeviceArray(DeviceArray &&other) noexcept
      : data_(std::exchange(other.data_, nullptr)), count_(std::exchange(other.count_, 0)) {}
  DeviceArray &operator=(DeviceArray &&other) noexcept {
    std::swap(data_, other.data_);
    std::swap(count_, other.count_);
    return *this;
  }

  T *data() const { return data_; }
  size_t size() const { return count_; }
  size_t bytes() const { return count_ * sizeof(T); }

 private:
  T *data_ = nullptr;
  size_t count_ = 0;
};

/// A stream on the device that was current when it was made.
class Stream {
 public:
  Stream() {
    check_cuda(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "making a stream");
  }
  ~Stream() { cudaStreamDestroy(stream_); }
  Stream(const Stream &) = delete;
  Stream &operator=(const Stream &) = delete;

  cudaStream_t get() const { return stream_; }
  void wait() const { check_cuda(cudaStreamSynchronize(stream_), "evicting"); }

 private:
  cudaStream_t stream_ = nullptr;
};

}  // namespace vase

#endif
