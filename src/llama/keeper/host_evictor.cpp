#include "llama/keeper/host_evictor.hpp"

#include <algorithm>
#include <numeric>

#include "vase/llama.hpp"

namespace vase {
namespace {

// What one head's call works on. libvase is given whole layers and a range of heads; masks and
// positions lie [heads][rows], so `keep` and `positions` start where head 0 of the layer has them.
vase_layer describe(const CacheLayer &layer, size_t index, const Eviction &eviction,
                    const QueryRings &queries, int32_t n_rows) {
  vase_layer described{};
  described.n_heads = layer.n_heads;
  described.n_rows = n_rows;
  described.n_query_heads = layer.n_query_heads;
  described.queries = queries.ring(index, eviction.stream);
  described.n_queries = queries.window();
  described.scale = layer.scale;
  described.rope = layer.rope.view();
  if (!layer.calibration.empty()) described.calibration = layer.calibration.data();
  described.pinned_first = eviction.pinned.first_end;
  described.pinned_begin = eviction.pinned.begin;
  described.pinned_end = eviction.pinned.end;
  described.sequence = eviction.draw_stream;
  described.eviction = eviction.number;
  described.layer = static_cast<uint32_t>(index);
  return described;
}

}  // namespace

HostEvictor::HostEvictor(const vase_params &params, std::span<const CacheLayer> layers,
                         int32_t cells, int32_t n_sequences, int n_threads, bool always_copy)
    : layers_(layers),
      cells_(static_cast<size_t>(cells)),
      copies_(always_copy),
      pool_(std::max(1, n_threads)),
      workspaces_(static_cast<size_t>(pool_.workers())) {
  for (size_t index = 0; index < layers_.size(); ++index) {
    const CacheLayer &layer = layers_[index];
    first_head_.push_back(heads_.size());
    for (int32_t head = 0; head < layer.n_heads; ++head) heads_.push_back({index, head});
    if (!layer.keys.on_host() || !layer.values.on_host()) copies_ = true;
    for (const CacheRows &rows : layer.carried) copies_ = copies_ || !rows.on_host();
  }
  first_head_.push_back(heads_.size());
  if (vase_policy_needs_queries(params.policy) != 0)
    rings_ = QueryRings(layers_, n_sequences, params.window);
  reserve(params);
  keep_.resize(heads_.size() * cells_);
  positions_.resize(heads_.size() * cells_);
  moved_.resize(heads_.size());
  select_ = [this](int index, int worker) {
    select(task_first_head_ + static_cast<size_t>(index), worker);
  };
  move_ = [this](int index, int) { move(task_first_head_ + static_cast<size_t>(index)); };
}

void HostEvictor::reserve(const vase_params &params) {
  const QueryRings no_queries;
  size_t workspace = 0;
  for (size_t index = 0; index < layers_.size(); ++index) {
    // The workspace depends on shapes alone, so any addresses serve to ask for its size.
    const CacheLayer &layer = layers_[index];
    vase_layer shape = describe(layer, index, {}, no_queries, static_cast<int32_t>(cells_));
    float query = 0;
    std::byte row{};
    shape.keys = layer.keys.rows;
    shape.values = layer.values.rows;
    shape.keys.data = &row;
    shape.values.data = &row;
    shape.queries = &query;
    shape.n_queries = params.window;
    const size_t size = vase_workspace_size(&params, &shape);
    if (size == 0) throw Error(vase_last_error());
    workspace = std::max(workspace, size);
  }
  for (std::vector<std::byte> &space : workspaces_)
    if (space.size() < workspace) space.resize(workspace);
  if (vase_policy_sums_up(params.policy) != 0) sums_.resize(heads_.size() * cells_);
}

size_t HostEvictor::bytes() const {
  size_t bytes = rings_.bytes() + keep_.size() + positions_.size() * sizeof(int32_t) +
                 sums_.size() * sizeof(float) + key_copy_.size() + value_copy_.size();
  for (const auto &workspace : workspaces_) bytes += workspace.size();
  for (const auto &copy : carried_copies_) bytes += copy.size();
  return bytes;
}

void HostEvictor::evict(std::span<Eviction> evictions, const FreeLabels &free_labels) {
  for (Eviction &eviction : evictions) evict_one(eviction, free_labels);
}

void HostEvictor::evict_one(Eviction &eviction, const FreeLabels &free_labels) {
  const int32_t freed = eviction.rows->rows() - eviction.params.budget;
  if (freed <= 0) return;
  eviction_ = &eviction;
  for_each_head(select_, false);
  if (!free_labels(eviction, freed)) return;
  eviction.rows->keep_sums(sums_up());
  for_each_head(move_, true);
  eviction.rows->drop_oldest(freed);
  eviction.moved = std::accumulate(moved_.begin(), moved_.end(), int64_t{0});
  eviction.done = true;
}

// Rows that the CPU cannot reach are copied here, a layer at a time, and back if they were moved.
void HostEvictor::for_each_head(const std::function<void(int, int)> &task, bool moves) {
  error_.clear();
  if (!copies_) {
    task_first_head_ = 0;
    pool_.parallel_for(survivor_heads(), task);
  } else {
    for (size_t index = 0; index < layers_.size(); ++index) {
      const CacheLayer &layer = layers_[index];
      const bool shared = layer.values.tensor == layer.keys.tensor;
      layer.keys.read_stream(eviction_->stream, key_copy_);
      if (!shared) layer.values.read_stream(eviction_->stream, value_copy_);
      carried_copies_.resize(std::max(carried_copies_.size(), layer.carried.size()));
      if (moves)
        for (size_t plane = 0; plane < layer.carried.size(); ++plane)
          layer.carried[plane].read_stream(eviction_->stream, carried_copies_[plane]);
      task_first_head_ = first_head_[index];
      pool_.parallel_for(layer.n_heads, task);
      if (moves)
        for (size_t plane = 0; plane < layer.carried.size(); ++plane)
          layer.carried[plane].write_stream(eviction_->stream, carried_copies_[plane]);
      if (moves) layer.keys.write_stream(eviction_->stream, key_copy_);
      if (moves && !shared) layer.values.write_stream(eviction_->stream, value_copy_);
    }
  }
  if (!error_.empty()) throw Error("eviction failed: " + error_);
}

// Masks and positions of a layer are packed for the rows there are now; the layer's share of the
// buffers starts where its first head would be if it held all cells.
vase_layer HostEvictor::describe_now(size_t layer_index) {
  const CacheLayer &layer = layers_[layer_index];
  const SequenceRows &rows = *eviction_->rows;
  vase_layer described = describe(layer, layer_index, *eviction_, rings_, rows.rows());
  described.cells = rows.cells().data();
  described.positions = positions_.data() + first_head_[layer_index] * cells_;
  if (sums_up()) described.sums = sums_.data() + first_head_[layer_index] * cells_;
  if (copies_) {
    const bool shared = layer.values.tensor == layer.keys.tensor;
    described.keys = layer.keys.in_copy(key_copy_);
    described.values = layer.values.in_copy(shared ? key_copy_ : value_copy_);
  } else {
    described.keys = layer.keys.in_place(eviction_->stream);
    described.values = layer.values.in_place(eviction_->stream);
  }
  return described;
}

template <typename T>
std::span<T> HostEvictor::own(std::vector<T> &all, size_t index) const {
  const auto [layer, head] = heads_[index];
  const auto n = static_cast<size_t>(eviction_->rows->rows());
  return {all.data() + first_head_[layer] * cells_ + static_cast<size_t>(head) * n, n};
}

void HostEvictor::select(size_t index, int worker) {
  const auto [layer, head] = heads_[index];
  eviction_->rows->positions(static_cast<int32_t>(index), own(positions_, index));
  if (sums_up()) eviction_->rows->sums(static_cast<int32_t>(index), own(sums_, index));
  if (layers_[layer].chooser) return;
  const vase_layer described = describe_now(layer);
  std::vector<std::byte> &workspace = workspaces_[static_cast<size_t>(worker)];
  note(vase_select(&eviction_->params, &described, head, 1, keep_of(layer), workspace.data(),
                   workspace.size()));
}

void HostEvictor::move(size_t index) {
  const auto [layer, head] = heads_[index];
  const vase_layer described = describe_now(layer);
  int32_t *positions = positions_.data() + first_head_[layer] * cells_;
  carry(layer);
  note(vase_compact(&described, keep_of(layer), 0, head, 1, positions));
  const int32_t n_rows = described.n_rows, freed = n_rows - eviction_->params.budget;
  const uint8_t *own_keep = keep_of(layer) + static_cast<ptrdiff_t>(head) * n_rows;
  moved_[index] = std::count(own_keep, own_keep + freed, uint8_t{1});
  eviction_->rows->set_survivors(static_cast<int32_t>(index), own(positions_, index), freed);
  if (sums_up()) eviction_->rows->set_sums(static_cast<int32_t>(index), own(sums_, index), freed);
}

// The rows that go along with those of a layer's only head.
void HostEvictor::carry(size_t layer_index) {
  const CacheLayer &layer = layers_[layer_index];
  for (size_t plane = 0; plane < layer.carried.size(); ++plane) {
    const CacheRows &rows = layer.carried[plane];
    vase_layer described = describe_now(layer_index);
    described.keys =
        copies_ ? rows.in_copy(carried_copies_[plane]) : rows.in_place(eviction_->stream);
    described.values = described.keys;
    described.rope = {};
    note(vase_compact(&described, keep_of(layer_index), 0, 0, 1, nullptr));
  }
}

void HostEvictor::note(vase_status status) {
  if (status == VASE_OK) return;
  const std::lock_guard lock(error_mutex_);
  error_ = vase_last_error();
}

std::vector<int32_t> HostEvictor::positions(int32_t /*stream*/, size_t layer, int32_t head,
                                            const SequenceRows &rows) const {
  std::vector<int32_t> positions(static_cast<size_t>(rows.rows()));
  rows.positions(static_cast<int32_t>(first_head_[layer]) + head, positions);
  return positions;
}

ValueReport look_at_values(const CacheLayer &cache, int32_t head, const Eviction &eviction,
                           const SequenceRows &rows, std::span<const int32_t> positions) {
  if (rows.rows() == 0) return {};
  vase_layer described = describe(cache, 0, eviction, QueryRings(), rows.rows());
  described.n_heads = 1;
  described.cells = rows.cells().data();
  described.positions = positions.data();
  std::vector<std::byte> copy;
  if (cache.values.on_host()) {
    described.values = cache.values.in_place(eviction.stream);
  } else {
    cache.values.read_stream(eviction.stream, copy);
    described.values = cache.values.in_copy(copy);
  }
  auto *first = static_cast<std::byte *>(described.values.data);
  described.values.data = first + head * described.values.head_stride;
  described.keys = described.values;  // not looked at
  described.rope = {};

  ValueReport report;
  report.ranges.resize(positions.size());
  std::vector<std::byte> workspace(vase_workspace_size(&eviction.params, &described));
  if (vase_value_ranges(&described, 0, 1, report.ranges.data(), workspace.data(),
                        workspace.size()) != VASE_OK ||
      vase_protected(&eviction.params, &described, 0, 1, &report.n_protected, workspace.data(),
                     workspace.size()) != VASE_OK)
    throw Error(vase_last_error());
  return report;
}

}  // namespace vase
