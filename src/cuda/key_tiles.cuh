// Keys on their way through shared memory, a tile after the other, for blocks of kThreads threads.
#ifndef VASE_CUDA_KEY_TILES_CUH
#define VASE_CUDA_KEY_TILES_CUH

#include "cuda/products.cuh"

namespace vase::cuda {

constexpr int kWarps = 8, kThreads = kWarps * kWarpLanes;
constexpr int kKeys = 64;               // of a tile in shared memory
constexpr int kSplitKeys = 17 * kKeys;  // of a block of threads: 4096 + 64 rows make four splits

/// A tile of keys in shared memory.
template <vase_type T, int kDim>
struct KeyTile {
  static constexpr int kPitch = pitch_bytes(kDim), kChunks = kDim / kChunk;
  alignas(16) std::byte planes[Planes<T>::kRows][kKeys][kPitch];
  float scale[Planes<T>::kScaled ? kChunks : 1][kKeys];
};

/// What is known of the keys of a split before they are read.
struct SplitKeys {
  int cells[kSplitKeys];
  alignas(8) float bias[kSplitKeys];  // 0 for attended rows, -infinity for others
  int others[kSplitKeys / kKeys];     // of a tile: whether there are any

  /// Rows beyond the end stand for the last one, and are not attended to.
  __device__ void load(const DeviceCall& call, const DeviceItem& item, const int32_t* age,
                       int begin) {
    if (threadIdx.x < kSplitKeys / kKeys) others[threadIdx.x] = 0;
    __syncthreads();
    const int n_attended = attended_rows(call, item);
    for (int i = static_cast<int>(threadIdx.x); i < kSplitKeys; i += kThreads) {
      const int row = min(begin + i, item.n_rows - 1);
      cells[i] = cell_of(item, row);
      const bool attended = begin + i < item.n_rows && age[row] < n_attended;
      bias[i] = attended ? 0.0f : -INFINITY;
      if (!attended) atomicOr(&others[i / kKeys], 1);
    }
    __syncthreads();
  }
  /// Key `i` of the split is spoilt, and has no part in a softmax.
  __device__ void leave_out(int i) {
    bias[i] = -INFINITY;
    others[i / kKeys] = 1;
  }
};

/// Fetches a tile into registers while the one before is worked on.
template <vase_type T, int kDim, bool kFull>
struct TileLoader {
  static constexpr int kSegments = kDim / kSegment;
  static constexpr int kPerThread = kKeys * kSegments / kThreads;
  Segment<T> segments[kPerThread];

  /// keys: the first row of the head in cell 0; cells: of the tile.
  __device__ void fetch(const std::byte* keys, int64_t row_stride, const RowShape& shape,
                        const int* cells) {
#pragma unroll
    for (int i = 0; i < kPerThread; ++i) {
      const int at = static_cast<int>(threadIdx.x) + i * kThreads;
      segments[i].template fetch<kFull>(keys + cells[at / kSegments] * row_stride, at % kSegments,
                                        shape);
    }
  }

  /// The tile begins at key `first` of the split. Segments of spoilt keys become 0.
  __device__ void store(KeyTile<T, kDim>& tile, SplitKeys& keys, int first) const {
#pragma unroll
    for (int i = 0; i < kPerThread; ++i) {
      const int at = static_cast<int>(threadIdx.x) + i * kThreads;
      const int key = at / kSegments, segment = at % kSegments;
      const bool finite = segments[i].is_finite();
      if (!finite) keys.leave_out(first + key);
      uint4 planes[Planes<T>::kRows];
      segments[i].planes(planes);
#pragma unroll
      for (int p = 0; p < Planes<T>::kRows; ++p)
        *reinterpret_cast<uint4*>(&tile.planes[p][key][segment * 16]) =
            finite ? planes[p] : uint4{};
      if (Planes<T>::kScaled && segment % 4 == 0)
        tile.scale[segment / 4][key] = finite ? segments[i].scale() : 0.0f;
    }
  }
};

}  // namespace vase::cuda

#endif
