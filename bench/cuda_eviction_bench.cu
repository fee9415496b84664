// Eviction on a GPU at the published size: all 36 layers of Qwen3-4B's shape (8 KV heads, 32 query
// heads, D = 128) or another, budget 4096 and 64 rows more, one sequence and eight. Prints JSON:
// milliseconds by policy and by step, and for the parts that have one, the floor measured in the
// same process: the device's own copying speed, and cuBLAS on the same product.
#include <cublas_v2.h>
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <nlohmann/json.hpp>
#include <numeric>
#include <stdexcept>
#include <string>
#include <vector>

#include "cuda/turns.hpp"
#include "vase/cuda.h"

namespace {

constexpr int32_t kBudget = 4096, kInterval = 64, kRows = kBudget + kInterval, kQueries = 64;
constexpr float kRopeBase = 1e6f;
constexpr int kRepetitions = 20;

/// Of the model whose caches are evicted.
struct Model {
  int32_t layers = 36, heads = 8, query_heads = 32, dim = 128, values_dim = 128;

  int32_t pairs() const { return dim / 2; }  ///< of RoPE, halves apart
  int32_t calibration() const { return query_heads * 3 * pairs(); }
};

void check(cudaError_t error) {
  if (error != cudaSuccess) throw std::runtime_error(cudaGetErrorString(error));
}
void check(cublasStatus_t status) {
  if (status != CUBLAS_STATUS_SUCCESS) throw std::runtime_error(cublasGetStatusString(status));
}
void check(vase_status status) {
  if (status != VASE_OK) throw std::runtime_error(vase_last_error());
}

template <typename T>
T* device_array(int64_t count) {
  void* memory = nullptr;
  check(cudaMalloc(&memory, static_cast<size_t>(count) * sizeof(T)));
  return static_cast<T*>(memory);
}

__device__ float normal(uint64_t i) {
  uint64_t x = (i + 1) * 0x9E3779B97F4A7C15u;
  x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9u;
  x = (x ^ x >> 27) * 0x94D049BB133111EBu;
  const float u1 = (static_cast<float>(x >> 40) + 0.5f) * 0x1p-24f;
  const float u2 = static_cast<float>(x & 0xffffff) * 0x1p-24f;
  return sqrtf(-2.0f * logf(u1)) * cospif(2.0f * u2);
}
__device__ void store(__half* to, float x) { *to = __float2half_rn(x); }
__device__ void store(__nv_bfloat16* to, float x) { *to = __float2bfloat16_rn(x); }
__device__ void store(float* to, float x) { *to = x; }

template <typename T>
__global__ void fill(T* out, int64_t count, uint64_t seed) {
  for (int64_t i = blockIdx.x * int64_t{blockDim.x} + threadIdx.x; i < count;
       i += int64_t{gridDim.x} * blockDim.x)
    store(out + i, normal(static_cast<uint64_t>(i) + (seed << 40)));
}

/// As Qwen3 turns its keys: radians a token, a thread for each pair.
__global__ void fill_frequencies(float* out) {
  out[threadIdx.x] =
      powf(kRopeBase, -static_cast<float>(threadIdx.x) / static_cast<float>(blockDim.x));
}

/// Milliseconds between marks on the default stream.
class Timer {
 public:
  cudaEvent_t mark() {
    if (used_ == events_.size()) {
      events_.emplace_back();
      check(cudaEventCreate(&events_.back()));
    }
    check(cudaEventRecord(events_[used_]));
    return events_[used_++];
  }
  void reset() { used_ = 0; }
  static double between(cudaEvent_t a, cudaEvent_t b) {
    float ms = 0;
    check(cudaEventSynchronize(b));
    check(cudaEventElapsedTime(&ms, a, b));
    return static_cast<double>(ms);
  }

 private:
  std::vector<cudaEvent_t> events_;
  size_t used_ = 0;
};

double median(std::vector<double> x) {
  std::nth_element(x.begin(), x.begin() + static_cast<ptrdiff_t>(x.size() / 2), x.end());
  return x[x.size() / 2];
}

template <typename Run>
double time(const Run& run) {
  Timer timer;
  std::vector<double> times;
  for (int i = 0; i < kRepetitions + 3; ++i) {
    timer.reset();
    const cudaEvent_t start = timer.mark();
    run();
    const double ms = Timer::between(start, timer.mark());
    if (i >= 3) times.push_back(ms);
  }
  return median(times);
}

/// The caches of `batch` sequences, as llama.cpp lays them out, in the steady state: cells are a
/// ring, each eviction finds 64 new rows.
class Caches {
 public:
  Caches(const Model& model, int32_t batch, vase_type type)
      : model_(model),
        batch_(batch),
        type_(type),
        keys_(device_array<__half>(elements(model.dim))),
        values_(device_array<__half>(elements(model.values_dim))),
        queries_(device_array<float>(items() * queries())),
        positions_(device_array<int32_t>(items() * model.heads * kRows)),
        frequencies_(device_array<float>(model.pairs())),
        calibration_(device_array<float>(model.calibration())),
        cells_(static_cast<size_t>(batch), std::vector<int32_t>(kRows)) {
    for (auto& cells : cells_) std::iota(cells.begin(), cells.end(), 0);
    if (type == VASE_F16) {
      fill<<<2048, 256>>>(keys_, elements(model.dim), 1);
      fill<<<2048, 256>>>(values_, elements(model.values_dim), 2);
    } else {
      fill<<<2048, 256>>>(reinterpret_cast<__nv_bfloat16*>(keys_), elements(model.dim), 1);
      fill<<<2048, 256>>>(reinterpret_cast<__nv_bfloat16*>(values_), elements(model.values_dim), 2);
    }
    fill<<<2048, 256>>>(queries_, items() * queries(), 3);
    fill<<<64, 256>>>(calibration_, model.calibration(), 4);
    fill_frequencies<<<1, static_cast<unsigned>(model.pairs())>>>(frequencies_);
    check(cudaDeviceSynchronize());
  }
  ~Caches() {
    for (void* memory : {static_cast<void*>(keys_), static_cast<void*>(values_),
                         static_cast<void*>(queries_), static_cast<void*>(positions_),
                         static_cast<void*>(frequencies_), static_cast<void*>(calibration_)})
      cudaFree(memory);
  }
  Caches(const Caches&) = delete;
  Caches& operator=(const Caches&) = delete;

  const Model& model() const { return model_; }
  int64_t items() const { return int64_t{batch_} * model_.layers; }
  int64_t units() const { return items() * model_.heads; }
  const __half* keys(int64_t item, int64_t head) const {
    return keys_ + (item * kRows * model_.heads + head) * model_.dim;
  }

  /// The items of the next eviction.
  std::vector<vase_cuda_item> next() {
    std::vector<vase_cuda_item> out;
    for (int64_t i = 0; i < items(); ++i) {
      const auto sequence = static_cast<size_t>(i / model_.layers);
      vase_cuda_item item{};
      item.layer.keys = rows(keys_, i, model_.dim);
      item.layer.values = rows(values_, i, model_.values_dim);
      item.layer.rope = {frequencies_, model_.pairs(), model_.pairs()};
      item.layer.calibration = calibration_;
      item.layer.n_heads = model_.heads;
      item.layer.n_rows = kRows;
      item.layer.cells = cells_[sequence].data();
      item.layer.queries = queries_ + i * queries();
      item.layer.n_query_heads = model_.query_heads;
      item.layer.n_queries = kQueries;
      item.layer.sequence = static_cast<uint32_t>(sequence);
      item.layer.eviction = static_cast<uint32_t>(evictions_);
      item.layer.layer = static_cast<uint32_t>(i % model_.layers);
      item.positions = positions_ + i * model_.heads * kRows;
      item.position_stride = kRows;
      item.n_new = evictions_ == 0 ? kRows : kInterval;
      item.new_position = evictions_ == 0 ? 0 : kRows + (evictions_ - 1) * kInterval;
      out.push_back(item);
    }
    ++evictions_;
    return out;
  }
  /// Makes the freed cells the next ones to be filled.
  void turn_ring() {
    for (auto& cells : cells_) std::rotate(cells.begin(), cells.begin() + kInterval, cells.end());
  }

 private:
  /// Of all keys or values.
  int64_t elements(int32_t dim) const { return units() * kRows * dim; }
  /// Elements of an item's queries.
  int64_t queries() const { return int64_t{model_.query_heads} * kQueries * model_.dim; }
  vase_rows rows(__half* all, int64_t item, int32_t dim) const {
    const int64_t row_bytes = int64_t{dim} * 2;
    return {all + item * kRows * model_.heads * dim,
            type_,
            dim,
            model_.heads * row_bytes,
            row_bytes,
            0};
  }

  Model model_;
  int32_t batch_;
  vase_type type_;
  __half *keys_, *values_;
  float* queries_;
  int32_t* positions_;
  float *frequencies_, *calibration_;
  std::vector<std::vector<int32_t>> cells_;
  int32_t evictions_ = 0;
};

/// Bytes a second of a copy within device memory, read and written bytes counted.
double copy_bandwidth() {
  constexpr size_t kBytes = size_t{1} << 30;
  std::byte* from = device_array<std::byte>(kBytes);
  std::byte* to = device_array<std::byte>(kBytes);
  const double ms =
      time([&] { check(cudaMemcpyAsync(to, from, kBytes, cudaMemcpyDeviceToDevice)); });
  cudaFree(from);
  cudaFree(to);
  return 2.0 * kBytes / ms * 1e3;
}

/// cuBLAS on the product of all rows with their group's queries (rounded to f16), for all units.
double cublas_product(const Caches& caches, cudaDataType_t out_type) {
  const Model& model = caches.model();
  const int vectors = model.query_heads / model.heads * kQueries;
  const int64_t units = caches.units();
  const size_t element = out_type == CUDA_R_32F ? 4 : 2;
  __half* queries = device_array<__half>(units * vectors * model.dim);
  fill<<<2048, 256>>>(queries, units * vectors * model.dim, 4);
  std::byte* products =
      device_array<std::byte>(units * vectors * kRows * static_cast<int64_t>(element));
  std::vector<const void*> a, b;
  std::vector<void*> c;
  for (int64_t u = 0; u < units; ++u) {
    a.push_back(caches.keys(u / model.heads, u % model.heads));
    b.push_back(queries + u * vectors * model.dim);
    c.push_back(products + u * vectors * kRows * static_cast<int64_t>(element));
  }
  const auto upload = [&](const auto& host) {
    auto* device = device_array<void*>(units);
    check(cudaMemcpy(device, host.data(), host.size() * sizeof(void*), cudaMemcpyHostToDevice));
    return device;
  };
  void **on_a = upload(a), **on_b = upload(b), **on_c = upload(c);
  cublasHandle_t handle;
  check(cublasCreate(&handle));
  const float one = 1, zero = 0;
  const double ms = time([&] {
    check(cublasGemmBatchedEx(handle, CUBLAS_OP_T, CUBLAS_OP_N, kRows, vectors, model.dim, &one,
                              on_a, CUDA_R_16F, model.heads * model.dim, on_b, CUDA_R_16F,
                              model.dim, &zero, on_c, out_type, kRows, static_cast<int>(units),
                              CUBLAS_COMPUTE_32F, CUBLAS_GEMM_DEFAULT));
  });
  cublasDestroy(handle);
  for (void* memory :
       {static_cast<void*>(queries), static_cast<void*>(products), static_cast<void*>(on_a),
        static_cast<void*>(on_b), static_cast<void*>(on_c)})
    cudaFree(memory);
  return ms;
}

/// A handle, and the same workspace for requests of the room's own.
struct Engine {
  vase_cuda_limits limits;
  vase_cuda* cuda = nullptr;
  std::byte* memory;
  vase::cuda::Layout layout;

  explicit Engine(const vase_cuda_limits& l)
      : limits(l),
        memory(device_array<std::byte>(static_cast<int64_t>(vase_cuda_bytes_needed(&l)))),
        layout(l, memory) {
    check(vase_cuda_create(&limits, &cuda));
  }
  ~Engine() {
    vase_cuda_destroy(cuda);
    cudaFree(memory);
  }
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;
};

nlohmann::json measure(Engine& engine, Caches& caches, const char* policy) {
  const vase_params params = vase_params_default(vase_policy_find(policy), kBudget);
  const auto units = static_cast<size_t>(caches.units());
  int32_t* moved = device_array<int32_t>(static_cast<int64_t>(units));

  std::vector<double> whole;
  std::map<std::string, std::vector<double>> steps;
  Timer timer;
  double rows_moved = 0;
  for (int i = 0; i < kRepetitions + 5; ++i) {
    const std::vector<vase_cuda_item> items = caches.next();
    timer.reset();
    const cudaEvent_t start = timer.mark();
    if (i % 2 == 0) {
      check(vase_cuda_evict(engine.cuda, &params, items.data(), static_cast<int32_t>(items.size()),
                            0, moved, nullptr));
      const double ms = Timer::between(start, timer.mark());
      if (i >= 4) whole.push_back(ms);
    } else {
      std::vector<std::pair<const char*, cudaEvent_t>> marks;
      vase::cuda::Request request{vase::cuda::Wish::kEvict, &params, items};
      request.moved = moved;
      request.after_step = [&](const char* step) { marks.emplace_back(step, timer.mark()); };
      check(vase::cuda::run(engine.limits, engine.layout, request, nullptr));
      cudaEvent_t before = start;
      std::map<std::string, double> sums;
      for (const auto& [step, event] : marks) {
        sums[step] += Timer::between(before, event);
        before = event;
      }
      if (i >= 4)
        for (const auto& [step, ms] : sums) steps[step].push_back(ms);
    }
    caches.turn_ring();
    std::vector<int32_t> counts(units);
    check(cudaMemcpy(counts.data(), moved, units * 4, cudaMemcpyDeviceToHost));
    rows_moved = std::accumulate(counts.begin(), counts.end(), 0.0);
  }
  cudaFree(moved);
  nlohmann::json out{{"policy", policy}, {"ms", median(whole)}, {"rows_moved", rows_moved}};
  out["ms_a_layer"] = median(whole) / caches.model().layers;
  for (const auto& [step, times] : steps) out["steps_ms"][step] = median(times);
  return out;
}

nlohmann::json measure_batch(const Model& model, int32_t batch, int32_t turn, vase_type type,
                             double bandwidth, const std::vector<const char*>& policies) {
  Caches caches(model, batch, type);
  const vase_cuda_limits limits{sizeof(vase_cuda_limits),
                                turn,
                                turn / model.layers,
                                model.heads,
                                model.query_heads,
                                kRows,
                                kQueries,
                                model.dim,
                                model.values_dim};
  Engine engine(limits);
  const double units = static_cast<double>(caches.units());

  nlohmann::json out{{"batch", batch}, {"rows", type == VASE_F16 ? "f16" : "bf16"}};
  out["items_a_turn"] = turn;
  out["workspace_bytes"] = vase_cuda_bytes(engine.cuda);
  for (const char* policy : policies) {
    nlohmann::json result = measure(engine, caches, policy);
    const auto& steps = result["steps_ms"];
    // Bytes that must be read, or read and written, at the speed of a copy.
    const auto share = [&](const char* step, double bytes) {
      if (!steps.contains(step)) return;
      const double floor_ms = bytes / bandwidth * 1e3;
      result["floor_ms"][step] = floor_ms;
      result["share_of_floor"][step] = floor_ms / steps[step].get<double>();
    };
    const double key_bytes = model.dim * 2.0, value_bytes = model.values_dim * 2.0;
    share("ranges", units * kRows * value_bytes);
    share("energies", units * kRows * (key_bytes + value_bytes));
    share("moves", 2 * result["rows_moved"].get<double>() * (key_bytes + value_bytes));
    out["policies"].push_back(result);
  }
  if (batch == 1 && type == VASE_F16) {
    out["cublas_ms"] = {{"f32_products", cublas_product(caches, CUDA_R_32F)},
                        {"f16_products", cublas_product(caches, CUDA_R_16F)}};
  }
  return out;
}

}  // namespace

/// Arguments: `--shape LAYERS,KV_HEADS,QUERY_HEADS,KEY_ELEMENTS,VALUE_ELEMENTS` for another model
/// than Qwen3-4B; the policies to measure, all of them if there are none.
int main(int argc, char** argv) {
  std::vector<const char*> policies(argv + 1, argv + argc);
  Model model;
  if (policies.size() >= 2 && std::string(policies[0]) == "--shape") {
    if (std::sscanf(policies[1], "%d,%d,%d,%d,%d", &model.layers, &model.heads, &model.query_heads,
                    &model.dim, &model.values_dim) != 5) {
      std::fprintf(stderr, "cuda_eviction_bench: --shape %s is not five numbers\n", policies[1]);
      return EXIT_FAILURE;
    }
    policies.erase(policies.begin(), policies.begin() + 2);
  }
  if (policies.empty())
    policies = {"vase",      "vase-plus",   "vase-plus@2", "vase-cur",     "snapkv",
                "rkv",       "h2o",         "keydiff",     "triattention", "random",
                "streaming", "evict-large", "attn-random"};
  try {
    for (const char* policy : policies)
      if (vase_policy_find(policy) == nullptr)
        throw std::runtime_error(std::string("there is no policy ") + policy);
    cudaDeviceProp device{};
    check(cudaGetDeviceProperties(&device, 0));
    const double bandwidth = copy_bandwidth();
    nlohmann::json out{{"device", device.name}, {"copy_bytes_a_second", bandwidth}};
    for (const vase_type type : {VASE_F16, VASE_BF16})
      for (const auto& [batch, turn] :
           {std::pair{1, model.layers}, {8, model.layers}, {8, 4 * model.layers}})
        out["batches"].push_back(measure_batch(model, batch, turn, type, bandwidth, policies));
    std::puts(out.dump(1).c_str());
  } catch (const std::exception& error) {
    std::fprintf(stderr, "cuda_eviction_bench: %s\n", error.what());
    return EXIT_FAILURE;
  }
}
