// Eviction of one layer at the published size: budget 4096, 8 KV heads, 32 query heads, D = 128,
// f32 rows; selection and moves. VaSE and vase-plus at other sizes and types too. Counters: `floor`
// is the time below which no version runs on this machine (floating-point operations over the
// measured peak of its vector units, or bytes over its measured bandwidth, whichever takes longer);
// `over_floor` is the ratio to it.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <numeric>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "core/heed_rule.hpp"
#include "core/novelty_rule.hpp"
#include "core/rows.hpp"
#include "core/thread_pool.hpp"
#include "machine_floor.hpp"
#include "vase/vase.h"

namespace {

constexpr int32_t kHeads = 8, kQueryHeads = 32, kQueries = 64;

/// Of one KV head.
struct Size {
  int32_t budget = 4096, dim = 128;
  vase_type type = VASE_F32;  // as the published code runs on a CPU

  int32_t rows() const { return budget + 64; }
  size_t row_bytes() const { return vase::row_bytes(type, dim); }
  /// Empty for the published size.
  std::string name() const {
    if (type == VASE_F32) return "";
    return std::string("/") + (type == VASE_F16 ? "f16" : "q8_0") + "/dim:" + std::to_string(dim) +
           "/rows:" + std::to_string(rows());
  }
};

/// Appends n random elements as rows of `type`: f32 normal, f16 of +-[0.5, 1), q8_0 of [-1, 1).
void append_random(vase_type type, size_t n, std::mt19937& random, std::vector<std::byte>& rows) {
  std::normal_distribution<float> normal;
  const auto append = [&](const auto& x) {
    const auto bytes = std::as_bytes(std::span(&x, 1));
    rows.insert(rows.end(), bytes.begin(), bytes.end());
  };
  constexpr uint16_t kHalf = 0x3800, kSignAndFraction = 0x83ff, k128th = 0x2000;
  for (size_t i = 0; i < n; ++i) {
    if (type == VASE_F32) append(normal(random));
    if (type == VASE_F16) append(static_cast<uint16_t>((random() & kSignAndFraction) | kHalf));
    if (type == VASE_Q8_0 && i % vase::kBlockElements == 0) append(k128th);
    if (type == VASE_Q8_0) append(static_cast<int8_t>(random() & 0xff));
  }
}

/// One layer of random rows, laid out as llama.cpp lays out its cache.
class Layer {
 public:
  explicit Layer(const Size& size)
      : size_(size), queries_(size_t{kQueryHeads} * kQueries * static_cast<size_t>(size.dim)) {
    std::mt19937 random(1);
    const size_t elements =
        static_cast<size_t>(size.rows()) * kHeads * static_cast<size_t>(size.dim);
    append_random(size.type, elements, random, keys_);
    append_random(size.type, elements, random, values_);
    std::normal_distribution<float> normal;
    for (float& x : queries_) x = normal(random);
    std::vector<int32_t> of_head(static_cast<size_t>(size.rows()));
    std::iota(of_head.begin(), of_head.end(), 0);
    for (int h = 0; h < kHeads; ++h) {  // scrambled, as after many evictions
      std::shuffle(of_head.begin(), of_head.end(), random);
      positions_.insert(positions_.end(), of_head.begin(), of_head.end());
    }
    for (int i = 0; i < kQueryHeads * 3 * size.dim / 2; ++i) calibration_.push_back(normal(random));
    for (int32_t p = 0; p < size.dim / 2; ++p)  // as Qwen3's
      frequencies_.push_back(
          std::pow(1e6f, -2.0f * static_cast<float>(p) / static_cast<float>(size.dim)));
  }

  vase_layer view() {
    vase_layer layer{};
    const auto bytes = static_cast<int64_t>(size_.row_bytes());
    layer.keys = {keys_.data(), size_.type, size_.dim, kHeads * bytes, bytes, 0};
    layer.values = {values_.data(), size_.type, size_.dim, kHeads * bytes, bytes, 0};
    layer.rope = {frequencies_.data(), size_.dim / 2, size_.dim / 2};
    layer.calibration = calibration_.data();
    layer.n_heads = kHeads;
    layer.n_rows = size_.rows();
    layer.positions = positions_.data();
    layer.queries = queries_.data();
    layer.n_query_heads = kQueryHeads;
    layer.n_queries = kQueries;
    return layer;
  }

 private:
  Size size_;
  std::vector<std::byte> keys_, values_;
  std::vector<float> queries_, frequencies_, calibration_;
  std::vector<int32_t> positions_;
};

/// What a policy must compute and read at the least.
bench::Work work_of(const std::string& policy, const Size& size, const vase_params& params) {
  const double candidates = size.rows() - params.recency, rows = candidates * kHeads,
               dim = size.dim, bytes = rows * static_cast<double>(size.row_bytes());
  const double attention = 2.0 * candidates * dim * kQueryHeads * kQueries;
  if (policy == "vase") return {attention, 2 * bytes};
  if (policy == "snapkv" || policy == "h2o") return {attention, bytes};
  if (policy == "rkv") return {attention + 6.0 * rows * dim, bytes};
  if (policy == "keydiff") return {6.0 * rows * dim, bytes};
  if (policy == "triattention") return {3.0 * candidates * dim * kQueryHeads, bytes};
  const double novelty = 2.0 * rows * vase::kNoveltyRows * dim;
  if (policy == "vase-plus") return {novelty, 2 * bytes};
  if (policy == "vase-plus@2") return {attention / vase::kHeedEvery + novelty, 2 * bytes};
  if (policy == "vase-cur") return {2 * 2.0 * rows * dim * 20, 2 * bytes};
  return {0, 0};
}

void evict(benchmark::State& state, const std::string& name, const Size& size, int threads) {
  Layer data(size);
  vase_layer layer = data.view();
  const vase_params params = vase_params_default(vase_policy_find(name.c_str()), size.budget);
  vase::ThreadPool pool(threads);
  const size_t bytes = vase_workspace_size(&params, &layer);
  std::vector<std::vector<std::byte>> workspaces(static_cast<size_t>(threads),
                                                 std::vector<std::byte>(bytes));
  std::vector<uint8_t> keep(static_cast<size_t>(kHeads * size.rows()));
  std::vector<int32_t> positions(layer.positions, layer.positions + keep.size());
  bool failed = false;
  const auto start = std::chrono::steady_clock::now();
  for (auto _ : state) {
    pool.parallel_for(kHeads, [&](int head, int worker) {
      void* workspace = workspaces[static_cast<size_t>(worker)].data();
      if (vase_select(&params, &layer, head, 1, keep.data(), workspace, bytes) != VASE_OK ||
          vase_compact(&layer, keep.data(), 0, head, 1, positions.data()) != VASE_OK)
        failed = true;
    });
    ++layer.eviction;
  }
  if (failed) state.SkipWithError(vase_last_error());
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
  const bench::Work work = work_of(name, size, params);
  if (work.bytes == 0) return;
  const double floor = bench::machine_floor(work, threads);
  state.counters["floor_ms"] = floor * 1e3;
  state.counters["over_floor"] = elapsed.count() / static_cast<double>(state.iterations()) / floor;
}

void add(const char* policy, const Size& size, int threads) {
  const std::string name = "evict/" + std::string(policy) + size.name();
  benchmark::RegisterBenchmark(
      (name + "/threads:" + std::to_string(threads)).c_str(),
      [=](benchmark::State& state) { evict(state, policy, size, threads); })
      ->UseRealTime()
      ->Unit(benchmark::kMillisecond);
}

}  // namespace

int main(int argc, char** argv) {
  for (const int threads : {1, 2})
    for (int32_t i = 0; i < vase_policy_count(); ++i)
      if (const vase_policy* policy = vase_policy_at(i); vase_policy_evicts(policy) != 0)
        add(vase_policy_name(policy), {}, threads);
  for (const vase_type type : {VASE_F16, VASE_Q8_0})
    for (const int32_t dim : {64, 128})
      for (const int32_t budget : {1024, 4096})
        for (const char* policy : {"vase", "vase-plus"}) add(policy, {budget, dim, type}, 1);
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
}
