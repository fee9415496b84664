// The C interface of vase/cuda.h: checks, then one request.
#include <memory>
#include <vector>

#include "capi/check.hpp"
#include "capi/versioned.hpp"
#include "cuda/check.hpp"
#include "cuda/launch.hpp"
#include "cuda/recipe.hpp"
#include "cuda/turns.hpp"
#include "cuda/versioned.hpp"
#include "vase/cuda.h"

struct vase_cuda {
  vase_cuda_limits limits;
  int device;
  std::byte* memory;
  vase::cuda::Layout layout;
};

namespace {

using vase::fail;
using vase::cuda::check_cuda;
using vase::cuda::Layout;
using vase::cuda::Request;
using vase::cuda::Wish;

#define VASE_TRY(expression) \
  if (const vase_status status_ = (expression); status_ != VASE_OK) return status_

/// Makes the handle's device current, and the caller's again at the end.
class OnDevice {
 public:
  explicit OnDevice(int device) {
    error_ = cudaGetDevice(&before_);
    if (error_ == cudaSuccess && before_ != device) error_ = cudaSetDevice(device);
  }
  ~OnDevice() { cudaSetDevice(before_); }
  OnDevice(const OnDevice&) = delete;
  OnDevice& operator=(const OnDevice&) = delete;
  cudaError_t error() const { return error_; }

 private:
  int before_ = 0;
  cudaError_t error_;
};

vase_status check_handle(const vase_cuda* cuda) {
  return cuda != nullptr ? VASE_OK : fail(VASE_INVALID_ARGUMENT, "cuda is null");
}

/// The structs of a call, as this version has them.
struct Arguments {
  vase_params params;
  std::vector<vase_cuda_item> items;
};

vase_status read_items(const vase_cuda* cuda, const vase_cuda_item* items, int32_t n_items,
                       std::vector<vase_cuda_item>& out) {
  VASE_TRY(check_handle(cuda));
  VASE_TRY(vase::cuda::read_items(items, n_items, out));
  return vase::cuda::check_items(cuda->limits, out);
}

vase_status read_request(const vase_cuda* cuda, const vase_params* params,
                         const vase_cuda_item* items, int32_t n_items, Arguments& out) {
  VASE_TRY(read_items(cuda, items, n_items, out.items));
  VASE_TRY(vase::read_params(params, out.params));
  return vase::cuda::check_policy(cuda->limits, out.params, out.items);
}

/// That the rows [vacate_first, vacate_first + freed) are there.
vase_status check_block(const vase_cuda_item& item, int32_t index, int32_t vacate_first,
                        int32_t freed) {
  if (freed >= 0 && vacate_first >= 0 && int64_t{vacate_first} + freed <= item.layer.n_rows)
    return VASE_OK;
  return fail(VASE_INVALID_ARGUMENT,
              "item %d: vacate_first is %d; %d rows from there do not fit into n_rows = %d", index,
              vacate_first, freed, item.layer.n_rows);
}

vase_status read_eviction(const vase_cuda* cuda, const vase_params* params,
                          const vase_cuda_item* items, int32_t n_items, int32_t vacate_first,
                          Arguments& out) {
  VASE_TRY(read_request(cuda, params, items, n_items, out));
  if (vase_policy_evicts(out.params.policy) == 0) return VASE_OK;
  for (int32_t i = 0; i < n_items; ++i) {
    const vase_cuda_item& item = out.items[static_cast<size_t>(i)];
    if (item.layer.n_rows > out.params.budget)
      VASE_TRY(check_block(item, i, vacate_first, item.layer.n_rows - out.params.budget));
  }
  return VASE_OK;
}

vase_status run_on_device(const vase_cuda& cuda, const Request& request, void* stream) {
  const OnDevice here(cuda.device);
  VASE_TRY(check_cuda(here.error(), "choosing the device"));
  return vase::cuda::run(cuda.limits, cuda.layout, request, static_cast<cudaStream_t>(stream));
}

}  // namespace

int32_t vase_cuda_supports(const vase_policy* policy) {
  return policy != nullptr && vase::cuda::recipe_of(policy) ? 1 : 0;
}

size_t vase_cuda_bytes_needed(const vase_cuda_limits* limits) {
  vase_cuda_limits read;
  if (vase::cuda::read_limits(limits, read) != VASE_OK) return 0;
  return vase::cuda::check_limits(read) == VASE_OK ? Layout(read, nullptr).bytes : 0;
}

vase_status vase_cuda_create(const vase_cuda_limits* given, vase_cuda** cuda) {
  if (cuda == nullptr) return fail(VASE_INVALID_ARGUMENT, "cuda is null");
  *cuda = nullptr;
  vase_cuda_limits limits;
  VASE_TRY(vase::cuda::read_limits(given, limits));
  VASE_TRY(vase::cuda::check_limits(limits));
  int device = 0;
  VASE_TRY(check_cuda(cudaGetDevice(&device), "finding a device"));
  const Layout measured(limits, nullptr);
  const size_t sort_bytes =
      vase::cuda::sort_space_wanted(limits.items * limits.n_heads, limits.n_rows);
  VASE_TRY(
      check_cuda(cudaGetLastError(), "loading the kernels (is the device as new as they are?)"));
  if (sort_bytes > measured.scratch.sort_bytes)
    return fail(VASE_DEVICE_FAILED, "CUDA: CUB's sort wants %zu bytes, %zu are set aside",
                sort_bytes, measured.scratch.sort_bytes);
  void* memory = nullptr;
  if (cudaMalloc(&memory, measured.bytes) != cudaSuccess) {
    (void)cudaGetLastError();  // not an error of the next call
    return fail(
        VASE_DEVICE_FAILED,
        "CUDA: %zu bytes of device memory for the eviction could not be had; fewer items in "
        "vase_cuda_limits take less",
        measured.bytes);
  }
  auto* bytes = static_cast<std::byte*>(memory);
  *cuda = new vase_cuda{limits, device, bytes, Layout(limits, bytes)};
  return VASE_OK;
}

void vase_cuda_destroy(vase_cuda* cuda) {
  if (cuda == nullptr) return;
  {
    const OnDevice here(cuda->device);
    cudaFree(cuda->memory);
  }
  delete cuda;
}

size_t vase_cuda_bytes(const vase_cuda* cuda) { return cuda != nullptr ? cuda->layout.bytes : 0; }

vase_status vase_cuda_check(const vase_cuda* cuda, const vase_params* params,
                            const vase_cuda_item* items, int32_t n_items, int32_t vacate_first) {
  Arguments call;
  return read_eviction(cuda, params, items, n_items, vacate_first, call);
}

vase_status vase_cuda_evict(vase_cuda* cuda, const vase_params* params, const vase_cuda_item* items,
                            int32_t n_items, int32_t vacate_first, int32_t* moved, void* stream) {
  Arguments call;
  VASE_TRY(read_eviction(cuda, params, items, n_items, vacate_first, call));
  Request request{Wish::kEvict, &call.params, call.items};
  request.vacate_first = vacate_first;
  request.moved = moved;
  return run_on_device(*cuda, request, stream);
}

vase_status vase_cuda_select(vase_cuda* cuda, const vase_params* params,
                             const vase_cuda_item* items, int32_t n_items, uint8_t* keep,
                             void* stream) {
  Arguments call;
  VASE_TRY(read_request(cuda, params, items, n_items, call));
  if (keep == nullptr) return fail(VASE_INVALID_ARGUMENT, "keep is null");
  Request request{Wish::kKeep, &call.params, call.items};
  request.keep = keep;
  return run_on_device(*cuda, request, stream);
}

vase_status vase_cuda_scores(vase_cuda* cuda, const vase_params* params,
                             const vase_cuda_item* items, int32_t n_items, float* scores,
                             void* stream) {
  Arguments call;
  VASE_TRY(read_request(cuda, params, items, n_items, call));
  if (scores == nullptr) return fail(VASE_INVALID_ARGUMENT, "scores is null");
  Request request{Wish::kScores, &call.params, call.items};
  request.scores = scores;
  return run_on_device(*cuda, request, stream);
}

vase_status vase_cuda_compact(vase_cuda* cuda, const vase_cuda_item* items, int32_t n_items,
                              const uint8_t* keep, const int32_t* freed, int32_t vacate_first,
                              int32_t* moved, void* stream) {
  std::vector<vase_cuda_item> call_items;
  VASE_TRY(read_items(cuda, items, n_items, call_items));
  if (keep == nullptr) return fail(VASE_INVALID_ARGUMENT, "keep is null");
  if (freed == nullptr) return fail(VASE_INVALID_ARGUMENT, "freed is null");
  for (int32_t i = 0; i < n_items; ++i)
    VASE_TRY(check_block(call_items[static_cast<size_t>(i)], i, vacate_first, freed[i]));
  Request request{Wish::kMoves, nullptr, call_items};
  request.keep = const_cast<uint8_t*>(keep);  // read only by kMoves
  request.freed = freed;
  request.vacate_first = vacate_first;
  request.moved = moved;
  return run_on_device(*cuda, request, stream);
}
