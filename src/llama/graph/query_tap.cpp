#include "llama/graph/query_tap.hpp"

#include <algorithm>
#include <chrono>

namespace vase {

void QueryTap::start(QueryStore *store, std::span<const ggml_tensor *const> queries,
                     int32_t hold_tokens) {
  store_ = store;
  seen_.resize(queries.size());
  if (hold_tokens == 0) return;
  for (const ggml_tensor *tensor : queries) taps_.add(tensor);
  taps_.allocate(hold_tokens);
}

void QueryTap::begin_decode(std::span<const QueryWish> wishes) {
  wishes_.assign(wishes.begin(), wishes.end());
  taps_.forget();
}

void QueryTap::see(ggml_tensor *node) {
  if (node->view_src != nullptr) taps_.see_view(node);
}

void QueryTap::begin_ubatch(std::span<const Placement> placements) {
  store_held();
  held_.clear();
  want(placements);
  std::fill(seen_.begin(), seen_.end(), false);
}

// A ubatch holds the same number of tokens of each of its sequences, one sequence after another.
void QueryTap::want(std::span<const Placement> placements) {
  wanted_.clear();
  int64_t stream = -1, token = 0;
  int32_t previous = -1;
  for (const Placement &placement : placements) {
    if (placement.sequence != previous) {
      ++stream;
      token = 0;
      previous = placement.sequence;
    }
    const auto sequence = static_cast<size_t>(placement.sequence);
    if (sequence < wishes_.size()) {
      const int64_t index = wishes_[sequence].tokens++;
      if (index >= wishes_[sequence].from)
        wanted_.push_back(
            {stream, token, placement.sequence, static_cast<int32_t>(index % store_->window())});
    }
    ++token;
  }
  // One call of a store must not write a slot twice: of more tokens than slots the newest count.
  const int64_t oldest = token - store_->window();
  std::erase_if(wanted_, [&](const WantedQuery &query) { return query.token < oldest; });
}

// Layers that share a cache tensor show several attention nodes; the first one speaks for them.
bool QueryTap::must_stop_at(size_t layer, const ggml_tensor *attention) {
  if (seen_[layer]) return false;
  seen_[layer] = true;
  ggml_tensor *queries = attention->src[0];
  if (taps_.hold(layer, queries)) {
    held_.push_back({layer, outliving(queries)});
    return false;
  }
  taps_.plan(layer, queries);
  return !wanted_.empty();
}

void QueryTap::store_stopped(size_t layer, const ggml_tensor *attention) {
  const LayerQueries stopped{layer, attention->src[0]};
  store({&stopped, 1});
}

void QueryTap::end_decode(bool succeeded, bool one_graph) {
  if (succeeded) {
    store_held();
    if (one_graph) taps_.redirect();
  }
  wanted_.clear();
}

void QueryTap::store(std::span<const LayerQueries> layers) {
  const auto start = std::chrono::steady_clock::now();
  store_->store(layers, wanted_);
  seconds_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// What is held is there by now: the scheduler waits for a graph that has a callback, and the caller
// of end_decode() has waited for one that has none.
void QueryTap::store_held() {
  if (wanted_.empty() || held_.empty()) return;
  std::vector<LayerQueries> layers;
  for (const Held &held : held_) layers.push_back({held.layer, &held.tensor});
  store(layers);
}

}  // namespace vase
