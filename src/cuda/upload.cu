#include <algorithm>
#include <cstring>

#include "cuda/launch.hpp"

namespace vase::cuda {
namespace {

/// Kernel arguments may take 32,764 bytes; some are left for the others.
constexpr size_t kArgumentBytes = 32000;

struct Words {
  uint32_t words[kArgumentBytes / sizeof(uint32_t)];
};

__global__ void store(const __grid_constant__ Words from, uint32_t* to, int count) {
  for (int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x); i < count;
       i += static_cast<int>(gridDim.x * blockDim.x))
    to[i] = from.words[i];
}

/// `bytes` is a multiple of 4.
void upload(const void* from, size_t bytes, void* to, cudaStream_t stream) {
  Words words;
  for (size_t done = 0; done < bytes; done += kArgumentBytes) {
    const size_t now = std::min(kArgumentBytes, bytes - done);
    std::memcpy(words.words, static_cast<const std::byte*>(from) + done, now);
    const int count = static_cast<int>(now / sizeof(uint32_t));
    store<<<(count + 255) / 256, 256, 0, stream>>>(
        words, reinterpret_cast<uint32_t*>(static_cast<std::byte*>(to) + done), count);
  }
}

}  // namespace

void upload_items(std::span<const DeviceItem> items, DeviceItem* to, cudaStream_t stream) {
  static_assert(sizeof(DeviceItem) % sizeof(uint32_t) == 0);
  upload(items.data(), items.size_bytes(), to, stream);
}

void upload_cells(std::span<const int32_t> cells, int32_t* to, cudaStream_t stream) {
  upload(cells.data(), cells.size_bytes(), to, stream);
}

}  // namespace vase::cuda
