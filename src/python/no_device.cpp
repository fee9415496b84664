// Stands in for device_evictions.cpp where the library is built without CUDA.
#include <stdexcept>

#include "python/device_evictions.hpp"

namespace vase::python {
namespace {

[[noreturn]] void refuse() {
  throw std::runtime_error(
      "keys lies on a CUDA device, and this vase was built without CUDA: install it again with "
      "pip install --force-reinstall . -C cmake.define.VASE_CUDA=ON (needs nvcc), or pass tensors "
      "in host memory");
}

}  // namespace

bool built_with_cuda() { return false; }
int32_t device_mask_rows(int32_t) { refuse(); }
void select_on_device(const vase_params&, const vase_layer&, uint8_t*, const DeviceStream&) {
  refuse();
}
void score_on_device(const vase_params&, const vase_layer&, float*, const DeviceStream&) {
  refuse();
}
void compact_on_device(const vase_layer&, const uint8_t*, int32_t, int32_t, int32_t*,
                       const DeviceStream&) {
  refuse();
}
void evict_on_device(const vase_params&, std::span<const EvictionItem>, const DeviceStream&) {
  refuse();
}

}  // namespace vase::python
