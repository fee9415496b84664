#include "llama/selection/selected_attention.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>

#include "llama/selection/choice.hpp"
#include "score/kernels.hpp"

namespace vase {
namespace {

constexpr int32_t kFullLayers = 2;  // of Quest
// Rows that are read together: as f32 they stay in the first two levels of the cache.
constexpr int32_t kBlock = 128;

std::vector<float> query_of(const DecodedToken &token, int32_t query_head) {
  std::vector<float> query(static_cast<size_t>(pad_to_lanes(token.keys.dim)));
  std::memcpy(query.data(), token.queries + static_cast<size_t>(query_head) * token.query_stride,
              static_cast<size_t>(token.keys.dim) * sizeof(float));
  return query;
}

int32_t kv_head_of(const AttentionShape &shape, int32_t query_head) {
  return query_head / (shape.n_query_heads / shape.n_heads);
}

// Calls use(first, dense rows) for blocks of `cells`.
template <typename Use>
void for_each_block(const vase_rows &rows, int32_t head, std::span<const int32_t> cells,
                    const Use &use) {
  const int32_t stride = pad_to_lanes(rows.dim);
  std::vector<float> staging(static_cast<size_t>(kBlock) * static_cast<size_t>(stride));
  for (int32_t first = 0; first < std::ssize(cells); first += kBlock) {
    const auto count = std::min<int32_t>(kBlock, static_cast<int32_t>(std::ssize(cells)) - first);
    const DenseRows dense{staging.data(), count, stride};
    best_kernels().read_rows(rows, head, cells.data() + first, dense);
    use(first, dense);
  }
}

float logit_of(const AttentionShape &shape, float product) {
  if (shape.soft_cap == 0) return shape.scale * product;
  return shape.soft_cap * std::tanh(shape.scale / shape.soft_cap * product);
}

std::vector<int32_t> first_rows(int32_t count) {
  std::vector<int32_t> rows(static_cast<size_t>(count));
  std::iota(rows.begin(), rows.end(), 0);
  return rows;
}

// Products of a query with rows, in the order of `cells`.
std::vector<float> products(const vase_rows &keys, int32_t head, std::span<const int32_t> cells,
                            const std::vector<float> &query) {
  std::vector<float> products(cells.size());
  for_each_block(keys, head, cells, [&](int32_t first, DenseRows dense) {
    best_kernels().dots(dense, query.data(), 0, products.data() + first);
  });
  return products;
}

std::vector<int32_t> rows_of_pages(std::span<const int32_t> pages, int32_t n_rows) {
  std::vector<int32_t> rows;
  rows.reserve(pages.size() * PageBounds::kPage);
  for (const int32_t page : pages) {
    const int32_t end = std::min((page + 1) * PageBounds::kPage, n_rows);
    for (int32_t row = page * PageBounds::kPage; row < end; ++row) rows.push_back(row);
  }
  return rows;
}

struct Chosen {
  std::vector<int32_t> rows;
  std::vector<float> products;  // of the query with each of them
};

// Logits grow with products, so these choose the rows of highest attention.
Chosen choose_highest(const DecodedToken &token, std::span<const float> all) {
  Chosen chosen{largest(all, token.params.budget), {}};
  for (const int32_t row : chosen.rows) chosen.products.push_back(all[static_cast<size_t>(row)]);
  return chosen;
}

Chosen choose_pages(const DecodedToken &token, int32_t head, const std::vector<float> &query) {
  const std::vector<float> bounds =
      token.bounds[static_cast<size_t>(head)].bounds(query, token.keys, head, token.rows);
  const std::vector<int32_t> pages = largest(bounds, PageBounds::pages_at(token.params.budget));
  std::vector<int32_t> rows = rows_of_pages(pages, token.rows);
  std::vector<float> with = products(token.keys, head, rows, query);
  return {std::move(rows), std::move(with)};
}

void attend_to(const Chosen &chosen, const AttentionShape &shape, const DecodedToken &token,
               int32_t query_head) {
  std::vector<float> weights;
  float most = shape.sinks.empty() ? -std::numeric_limits<float>::infinity()
                                   : shape.sinks[static_cast<size_t>(query_head)];
  for (const float product : chosen.products) {
    weights.push_back(logit_of(shape, product));
    most = std::max(most, weights.back());
  }
  float sum =
      shape.sinks.empty() ? 0.0f : std::exp(shape.sinks[static_cast<size_t>(query_head)] - most);
  for (float &weight : weights) sum += weight = std::exp(weight - most);

  std::vector<float> mean(static_cast<size_t>(pad_to_lanes(token.values.dim)));
  for_each_block(token.values, kv_head_of(shape, query_head), chosen.rows,
                 [&](int32_t first, DenseRows dense) {
                   best_kernels().add_scaled_rows(dense, weights.data() + first, mean.data());
                 });
  float *out = token.out + static_cast<ptrdiff_t>(query_head) * token.values.dim;
  for (int32_t d = 0; d < token.values.dim; ++d) out[d] = mean[static_cast<size_t>(d)] / sum;
}

// The products of the queries of a KV head with all rows, which each of its query heads chooses by.
// In parallel over blocks of rows, so that a single token, too, has work for all threads.
class AllProducts {
 public:
  AllProducts(const AttentionShape &shape, std::span<const DecodedToken> tokens)
      : shape_(shape), tokens_(tokens), products_(tokens.size()) {
    for (size_t i = 0; i < tokens.size(); ++i) {
      if (tokens[i].params.selection != Selection::kOracle) continue;
      products_[i].resize(static_cast<size_t>(shape.n_query_heads) *
                          static_cast<size_t>(tokens[i].rows));
      for (int32_t head = 0; head < shape.n_heads; ++head)
        for (int32_t first = 0; first < tokens[i].rows; first += kRowsOfJob)
          jobs_.push_back({i, head, first});
    }
  }

  void compute(ThreadPool &pool) {
    if (jobs_.empty()) return;
    pool.parallel_for(static_cast<int>(jobs_.size()),
                      [&](int index, int) { compute(jobs_[static_cast<size_t>(index)]); });
  }

  std::span<const float> of(size_t token, int32_t query_head) const {
    const auto rows = static_cast<size_t>(tokens_[token].rows);
    return std::span(products_[token]).subspan(static_cast<size_t>(query_head) * rows, rows);
  }

 private:
  static constexpr int32_t kRowsOfJob = 4 * kBlock;
  struct Job {
    size_t token;
    int32_t head, first;
  };

  void compute(const Job &job) {
    const DecodedToken &token = tokens_[job.token];
    const int32_t group = shape_.n_query_heads / shape_.n_heads;
    std::vector<int32_t> cells = first_rows(std::min(kRowsOfJob, token.rows - job.first));
    for (int32_t &cell : cells) cell += job.first;
    std::vector<std::vector<float>> queries;
    for (int32_t g = 0; g < group; ++g) queries.push_back(query_of(token, job.head * group + g));
    for_each_block(token.keys, job.head, cells, [&](int32_t first, DenseRows dense) {
      for (int32_t g = 0; g < group; ++g) {
        float *out = products_[job.token].data() +
                     static_cast<ptrdiff_t>(job.head * group + g) * token.rows + job.first + first;
        best_kernels().dots(dense, queries[static_cast<size_t>(g)].data(), 0, out);
      }
    });
  }

  const AttentionShape &shape_;
  std::span<const DecodedToken> tokens_;
  std::vector<std::vector<float>> products_;  // [tokens][query heads][rows]
  std::vector<Job> jobs_;
};

}  // namespace

bool SelectionParams::reads_all(int32_t layer, int32_t rows) const {
  if (selection == Selection::kOracle) return rows <= budget;
  return layer < kFullLayers || PageBounds::pages_of(rows) <= PageBounds::pages_at(budget);
}

std::vector<int32_t> choose_rows(const AttentionShape &shape, const DecodedToken &token,
                                 int32_t query_head) {
  const std::vector<float> query = query_of(token, query_head);
  const int32_t head = kv_head_of(shape, query_head);
  if (token.params.selection == Selection::kQuest) return choose_pages(token, head, query).rows;
  return choose_highest(token, products(token.keys, head, first_rows(token.rows), query)).rows;
}

void attend(const AttentionShape &shape, std::span<const DecodedToken> tokens, ThreadPool &pool) {
  AllProducts all(shape, tokens);
  all.compute(pool);
  const int32_t heads = shape.n_query_heads;
  pool.parallel_for(static_cast<int>(tokens.size()) * heads, [&](int index, int) {
    const auto i = static_cast<size_t>(index / heads);
    const int32_t head = index % heads;
    const DecodedToken &token = tokens[i];
    const Chosen chosen = token.params.selection == Selection::kOracle
                              ? choose_highest(token, all.of(i, head))
                              : choose_pages(token, kv_head_of(shape, head), query_of(token, head));
    attend_to(chosen, shape, token, head);
  });
}

}  // namespace vase
