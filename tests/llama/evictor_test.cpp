#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <numeric>
#include <random>

#include "ggml-backend.h"
#include "ggml-cpu.h"
#include "ggml.h"
#include "llama/keeper/host_evictor.hpp"
#include "vase/llama.hpp"

namespace vase {
namespace {

constexpr int32_t kHeads = 2, kQueryHeads = 4, kDim = 64, kCells = 96, kStreams = 2, kLayers = 3;
constexpr int32_t kWindow = 8;

// Cache tensors as llama.cpp makes them, full of random rows. With latent attention the values are
// the first half of the keys.
class Cache {
 public:
  explicit Cache(bool latent) {
    context_.reset(ggml_init({.mem_size = 1 << 16, .mem_buffer = nullptr, .no_alloc = true}));
    for (int32_t i = 0; i < kLayers; ++i) {
      ggml_tensor *keys = new_tensor();
      layers_.push_back(layer(keys, latent ? keys : new_tensor(), latent ? kDim / 2 : kDim));
    }
    buffer_.reset(
        ggml_backend_alloc_ctx_tensors_from_buft(context_.get(), ggml_backend_cpu_buffer_type()));
    std::mt19937 random(5);
    std::normal_distribution<float> normal;
    for (ggml_tensor *t = ggml_get_first_tensor(context_.get()); t != nullptr;
         t = ggml_get_next_tensor(context_.get(), t))
      for (int64_t i = 0; i < ggml_nelements(t); ++i)
        static_cast<ggml_fp16_t *>(t->data)[i] = ggml_fp32_to_fp16(normal(random));
  }

  const std::vector<CacheLayer> &layers() const { return layers_; }
  CacheLayer &layer(size_t index) { return layers_[index]; }
  std::vector<std::byte> bytes() const {
    std::vector<std::byte> all;
    for (ggml_tensor *t = ggml_get_first_tensor(context_.get()); t != nullptr;
         t = ggml_get_next_tensor(context_.get(), t)) {
      const auto *data = static_cast<const std::byte *>(t->data);
      all.insert(all.end(), data, data + ggml_nbytes(t));
    }
    return all;
  }

 private:
  ggml_tensor *new_tensor() {
    return ggml_new_tensor_3d(context_.get(), GGML_TYPE_F16, kHeads * kDim, kCells, kStreams);
  }
  static CacheLayer layer(ggml_tensor *keys, ggml_tensor *values, int32_t value_dim) {
    const auto stride = static_cast<int64_t>(keys->nb[1]);
    const int64_t head = kDim * static_cast<int64_t>(sizeof(ggml_fp16_t));
    CacheLayer layer;
    layer.keys = {keys, 0, {nullptr, VASE_F16, kDim, stride, head, 0}};
    layer.values = {values, 0, {nullptr, VASE_F16, value_dim, stride, head, 0}};
    layer.n_heads = kHeads;
    layer.n_query_heads = kQueryHeads;
    layer.scale = 0.125f;
    return layer;
  }

  struct Free {
    void operator()(ggml_context *context) const { ggml_free(context); }
    void operator()(ggml_backend_buffer *buffer) const { ggml_backend_buffer_free(buffer); }
  };
  std::unique_ptr<ggml_context, Free> context_;
  std::unique_ptr<ggml_backend_buffer, Free> buffer_;
  std::vector<CacheLayer> layers_;
};

struct Outcome {
  std::vector<std::byte> cache;
  std::vector<int32_t> positions;
  int64_t moved = 0;
};

void fill(QueryRings &rings) {
  std::mt19937 random(6);
  std::normal_distribution<float> normal;
  for (size_t layer = 0; layer < kLayers; ++layer)
    for (int32_t stream = 0; stream < kStreams; ++stream)
      for (int32_t head = 0; head < kQueryHeads; ++head)
        for (int32_t slot = 0; slot < kWindow; ++slot)
          for (int32_t d = 0; d < kDim; ++d)
            rings.slot(layer, stream, head, slot)[d] = normal(random);
}

// What the policy has found so far of all rows of a head.
double found_of(const SequenceRows &rows, int32_t head) {
  std::vector<float> sums(static_cast<size_t>(rows.rows()));
  rows.sums(head, sums);
  return std::accumulate(sums.begin(), sums.end(), 0.0);
}

Outcome evict(bool latent, int threads, bool always_copy) {
  const Cache cache(latent);
  vase_params params = vase_params_default(vase_policy_find("vase"), 64);
  params.recency = 16;
  params.window = kWindow;
  HostEvictor evictor(params, cache.layers(), kCells, kStreams, threads, always_copy);
  fill(evictor.rings());
  EXPECT_EQ(evictor.works_on_copies(), always_copy);
  SequenceRows rows(evictor.survivor_heads(), params.budget, kCells);
  for (int32_t i = 0; i < 80; ++i) rows.append((i + 30) % kCells);
  Outcome outcome;
  Eviction eviction;
  eviction.stream = 1;
  eviction.draw_stream = 9;
  eviction.number = 3;
  eviction.params = params;
  eviction.rows = &rows;
  evictor.evict({&eviction, 1}, [](const Eviction &, int32_t) { return true; });
  outcome.moved = eviction.moved;
  outcome.cache = cache.bytes();
  for (int32_t head = 0; head < evictor.survivor_heads(); ++head) {
    std::vector<int32_t> positions(static_cast<size_t>(rows.rows()));
    rows.positions(head, positions);
    outcome.positions.insert(outcome.positions.end(), positions.begin(), positions.end());
  }
  EXPECT_EQ(rows.rows(), params.budget);
  return outcome;
}

// The row of the first head in a cell of stream 1.
std::vector<std::byte> row_of(const CacheRows &rows, int32_t cell) {
  const auto *row =
      static_cast<const std::byte *>(rows.in_place(1).data) + cell * rows.rows.row_stride;
  return {row, row + static_cast<size_t>(rows.rows.dim) * sizeof(ggml_fp16_t)};
}

// As where an indexer names the rows that two layers read: one choice, and its keys go along.
TEST(Evictor, CarriesTheRowsThatBelongToTheSameTokens) {
  for (const bool always_copy : {false, true}) {
    Cache cache(false);
    for (size_t layer : {0u, 1u}) cache.layer(layer).n_heads = 1;
    const CacheRows plane = cache.layer(2).values;
    cache.layer(0).carried = {plane};
    cache.layer(1).chooser = 0;
    const auto cell_of = [](int32_t token) { return (token + 30) % kCells; };
    std::vector<std::vector<std::byte>> carried, keys;  // [cells], before
    for (int32_t cell = 0; cell < kCells; ++cell) {
      carried.push_back(row_of(plane, cell));
      keys.push_back(row_of(cache.layer(1).keys, cell));
    }

    vase_params params = vase_params_default(vase_policy_find("random"), 64);
    params.recency = 16;
    HostEvictor evictor(params, std::span(cache.layers()).first(2), kCells, kStreams, 2,
                        always_copy);
    SequenceRows rows(evictor.survivor_heads(), params.budget, kCells);
    for (int32_t token = 0; token < 80; ++token) rows.append(cell_of(token));
    Eviction eviction;
    eviction.stream = 1;
    eviction.params = params;
    eviction.rows = &rows;
    evictor.evict({&eviction, 1}, [](const Eviction &, int32_t) { return true; });
    EXPECT_GT(eviction.moved, 0);

    const std::vector<int32_t> tokens = evictor.positions(1, 0, 0, rows);
    EXPECT_EQ(tokens, evictor.positions(1, 1, 0, rows));
    for (size_t row = 0; row < tokens.size(); ++row) {
      const auto from = static_cast<size_t>(cell_of(tokens[row]));
      EXPECT_EQ(row_of(plane, rows.cells()[row]), carried[from]);
      EXPECT_EQ(row_of(cache.layer(1).keys, rows.cells()[row]), keys[from]);
    }
  }
}

TEST(Evictor, HostCopiesOfADeviceCacheGiveTheSame) {
  for (const bool latent : {false, true}) {
    const Outcome in_place = evict(latent, 1, false), copied = evict(latent, 1, true);
    EXPECT_GT(in_place.moved, 0);
    EXPECT_EQ(in_place.moved, copied.moved);
    EXPECT_EQ(in_place.positions, copied.positions);
    EXPECT_EQ(in_place.cache, copied.cache);
  }
}

// All is chosen before labels are freed and rows move: whether llama.cpp keeps the labels or
// libvase refuses the last layer, the sequence is as it was.
TEST(Evictor, LeavesASequenceAsItWasIfAnythingFails) {
  for (const bool always_copy : {false, true})
    for (const bool labels_stay : {false, true}) {
      Cache cache(false);
      vase_params own = vase_params_default(vase_policy_find("random"), 64);
      own.recency = 16;
      HostEvictor evictor(own, cache.layers(), kCells, kStreams, 1, always_copy);
      if (!labels_stay) cache.layer(kLayers - 1).scale = -1;  // refused
      SequenceRows rows(evictor.survivor_heads(), own.budget, kCells);
      for (int32_t i = 0; i < 80; ++i) rows.append(i);
      const std::vector<std::byte> before = cache.bytes();
      int asked = 0;
      Eviction eviction;
      eviction.params = own;
      eviction.rows = &rows;
      const auto evict = [&] {
        evictor.evict({&eviction, 1}, [&](const Eviction &, int32_t freed) {
          EXPECT_EQ(freed, 80 - 64);
          EXPECT_EQ(cache.bytes(), before);
          ++asked;
          return false;
        });
      };
      if (labels_stay)
        evict();
      else
        EXPECT_THROW(evict(), Error);
      EXPECT_EQ(asked, labels_stay ? 1 : 0);
      EXPECT_FALSE(eviction.done);
      EXPECT_EQ(cache.bytes(), before);
      EXPECT_EQ(rows.rows(), 80);
      std::vector<int32_t> positions(80);
      for (int32_t head = 0; head < evictor.survivor_heads(); ++head) {
        rows.positions(head, positions);
        EXPECT_TRUE(std::ranges::is_sorted(positions));
      }
    }
}

// Each of the kWindow queries of an eviction attends to as much as there is, 1; what was attended
// to of rows that are given up goes with them.
TEST(Evictor, SumsStayWithTheRows) {
  const Cache cache(false);
  vase_params own = vase_params_default(vase_policy_find("h2o"), 64);
  own.recency = 16;
  own.window = kWindow;
  HostEvictor evictor(own, cache.layers(), kCells, kStreams, 2);
  fill(evictor.rings());
  SequenceRows rows(evictor.survivor_heads(), own.budget, kCells);
  for (int32_t i = 0; i < 80; ++i) rows.append(i);
  Eviction eviction;
  eviction.params = own;
  eviction.rows = &rows;
  evictor.evict({&eviction, 1}, [](const Eviction &, int32_t) { return false; });
  EXPECT_EQ(found_of(rows, 0), 0) << "nothing has happened";
  std::vector<double> once;
  evictor.evict({&eviction, 1}, [](const Eviction &, int32_t) { return true; });
  for (int32_t head = 0; head < evictor.survivor_heads(); ++head) {
    once.push_back(found_of(rows, head));
    EXPECT_LT(once.back(), kWindow);
    EXPECT_GT(once.back(), kWindow / 2);
  }
  for (int32_t i = 0; i < 16; ++i) rows.append((80 + i) % kCells);
  evictor.evict({&eviction, 1}, [](const Eviction &, int32_t) { return true; });
  for (int32_t head = 0; head < evictor.survivor_heads(); ++head) {
    EXPECT_LT(found_of(rows, head), once[static_cast<size_t>(head)] + kWindow);
    EXPECT_GT(found_of(rows, head), once[static_cast<size_t>(head)]);
  }
  // A policy that sums up nothing forgets what was found.
  for (int32_t i = 0; i < 16; ++i) rows.append(i);
  eviction.params.policy = vase_policy_find("snapkv");
  evictor.evict({&eviction, 1}, [](const Eviction &, int32_t) { return true; });
  EXPECT_EQ(found_of(rows, 0), 0);
}

TEST(Evictor, ThreadsDoNotMatter) {
  const Outcome one = evict(false, 1, false), four = evict(false, 4, false);
  EXPECT_EQ(one.positions, four.positions);
  EXPECT_EQ(one.cache, four.cache);
}

TEST(Evictor, LeavesOtherStreamsAlone) {
  const std::vector<std::byte> before = Cache(false).bytes(), after = evict(false, 1, false).cache;
  const size_t stream = size_t{kHeads} * kDim * kCells * sizeof(ggml_fp16_t);
  for (size_t tensor = 0; tensor < 2 * kLayers; ++tensor) {
    const size_t at = tensor * stream * kStreams;
    EXPECT_EQ(std::memcmp(before.data() + at, after.data() + at, stream), 0);
    EXPECT_NE(std::memcmp(before.data() + at + stream, after.data() + at + stream, stream), 0);
  }
}

}  // namespace
}  // namespace vase
