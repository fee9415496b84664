// The package's functions on rows in CUDA memory (vase/cuda.h). Without VASE_CUDA all of them throw
// RuntimeError, which says how to build with it.
#ifndef VASE_PYTHON_DEVICE_EVICTIONS_HPP
#define VASE_PYTHON_DEVICE_EVICTIONS_HPP

#include <cstdint>
#include <span>
#include <string>

#include "python/evictions.hpp"

namespace vase::python {

/// Where the work is done. The device must be the thread's current one.
struct DeviceStream {
  int device;
  void* stream;  ///< cudaStream_t
};

bool built_with_cuda();

/// Entries from head to head in masks and scores on a device, for layers of n_rows rows.
int32_t device_mask_rows(int32_t n_rows);

/// keep: [n_heads][device_mask_rows(n_rows)].
void select_on_device(const vase_params& params, const vase_layer& layer, uint8_t* keep,
                      const DeviceStream& where);
/// scores: [n_heads][device_mask_rows(n_rows)].
void score_on_device(const vase_params& params, const vase_layer& layer, float* scores,
                     const DeviceStream& where);
/// keep: [n_heads][device_mask_rows(n_rows)], of which each head gives up `freed` rows.
void compact_on_device(const vase_layer& layer, const uint8_t* keep, int32_t freed, int32_t vacate,
                       int32_t* positions, const DeviceStream& where);
void evict_on_device(const vase_params& params, std::span<const EvictionItem> items,
                     const DeviceStream& where);

}  // namespace vase::python

#endif
