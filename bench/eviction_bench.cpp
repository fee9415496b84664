// Eviction of one layer at the published size: budget 4096, 8 KV heads, 32 query heads, D = 128;
// selection and moves. Counters: `floor` is the time below which no version runs on this machine
// (floating-point operations over the measured peak of its vector units, or bytes over its measured
// bandwidth, whichever takes longer); `over_floor` is the ratio to it.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <random>
#include <string>
#include <vector>

#include "core/thread_pool.hpp"
#include "machine_floor.hpp"
#include "vase/vase.h"

namespace {

constexpr int32_t kBudget = 4096, kRows = kBudget + 64, kHeads = 8, kQueryHeads = 32, kDim = 128,
                  kQueries = 64;

/// One layer of f32 rows, as the published code runs on a CPU, laid out as llama.cpp lays out its
/// cache.
class Layer {
 public:
  Layer()
      : keys_(size_t{kRows} * kHeads * kDim),
        values_(keys_.size()),
        queries_(size_t{kQueryHeads} * kQueries * kDim) {
    std::mt19937 random(1);
    std::normal_distribution<float> normal;
    for (auto* data : {&keys_, &values_, &queries_})
      for (float& x : *data) x = normal(random);
    positions_.resize(size_t{kHeads} * kRows);
    for (size_t i = 0; i < positions_.size(); ++i) positions_[i] = static_cast<int32_t>(i % kRows);
    for (size_t h = 0; h < kHeads; ++h)  // scrambled, as after many evictions
      std::shuffle(positions_.begin() + static_cast<ptrdiff_t>(h * kRows),
                   positions_.begin() + static_cast<ptrdiff_t>((h + 1) * kRows), random);
  }

  vase_layer view() {
    vase_layer layer{};
    layer.keys = {keys_.data(), VASE_F32, kDim, kHeads * kDim * 4, kDim * 4, 0};
    layer.values = {values_.data(), VASE_F32, kDim, kHeads * kDim * 4, kDim * 4, 0};
    layer.n_heads = kHeads;
    layer.n_rows = kRows;
    layer.positions = positions_.data();
    layer.queries = queries_.data();
    layer.n_query_heads = kQueryHeads;
    layer.n_queries = kQueries;
    return layer;
  }

 private:
  std::vector<float> keys_, values_, queries_;
  std::vector<int32_t> positions_;
};

/// What a policy must compute and read at the least.
bench::Work work_of(const std::string& policy) {
  const double candidates = kBudget, rows = candidates * kHeads, bytes = rows * kDim * 4;
  const double attention = 2.0 * candidates * kDim * kQueryHeads * kQueries;
  if (policy == "vase") return {attention, 2 * bytes};
  if (policy == "snapkv") return {attention, bytes};
  if (policy == "rkv") return {attention + 6.0 * rows * kDim, bytes};
  if (policy == "vase-plus") return {4 * 2.0 * rows * kDim * kDim, 2 * bytes};
  if (policy == "vase-cur") return {2 * 2.0 * rows * kDim * 20, 2 * bytes};
  return {0, 0};
}

void evict(benchmark::State& state, const std::string& name, int threads) {
  Layer data;
  vase_layer layer = data.view();
  const vase_params params = vase_params_default(vase_policy_find(name.c_str()), kBudget);
  vase::ThreadPool pool(threads);
  const size_t size = vase_workspace_size(&params, &layer);
  std::vector<std::vector<std::byte>> workspaces(static_cast<size_t>(threads),
                                                 std::vector<std::byte>(size));
  std::vector<uint8_t> keep(size_t{kHeads} * kRows);
  std::vector<int32_t> positions(layer.positions, layer.positions + keep.size());
  bool failed = false;
  const auto start = std::chrono::steady_clock::now();
  for (auto _ : state) {
    pool.parallel_for(kHeads, [&](int head, int worker) {
      void* workspace = workspaces[static_cast<size_t>(worker)].data();
      if (vase_select(&params, &layer, head, 1, keep.data(), workspace, size) != VASE_OK ||
          vase_compact(&layer, keep.data(), 0, head, 1, positions.data()) != VASE_OK)
        failed = true;
    });
    ++layer.eviction;
  }
  if (failed) state.SkipWithError(vase_last_error());
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
  const bench::Work work = work_of(name);
  if (work.bytes == 0) return;
  const double floor = bench::machine_floor(work, threads);
  state.counters["floor_ms"] = floor * 1e3;
  state.counters["over_floor"] = elapsed.count() / static_cast<double>(state.iterations()) / floor;
}

}  // namespace

int main(int argc, char** argv) {
  for (const int threads : {1, 2})
    for (const char* policy :
         {"vase", "vase-plus", "snapkv", "vase-cur", "rkv", "random", "streaming"})
      benchmark::RegisterBenchmark(
          (std::string("evict/") + policy + "/threads:" + std::to_string(threads)).c_str(),
          [=](benchmark::State& state) { evict(state, policy, threads); })
          ->UseRealTime()
          ->Unit(benchmark::kMillisecond);
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
}
