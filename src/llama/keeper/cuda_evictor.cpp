#include "llama/keeper/cuda_evictor.hpp"

#include <algorithm>
#include <map>
#include <numeric>
#include <tuple>

#include "core/parameters.hpp"

namespace vase {
namespace {

// Sequences whose layers are worked on at once. More take turns: a GPU is busy with the layers of
// one, and the working memory grows with the number.
constexpr int32_t kSequencesAtOnce = 4;

// What layers must have in common to be evicted in one call.
auto shape_of(const CacheLayer &layer) {
  const vase_rows &k = layer.keys.rows, &v = layer.values.rows;
  return std::tuple(device_of(layer.keys.tensor), layer.n_heads, layer.n_query_heads, k.type, k.dim,
                    k.rotation, v.type, v.dim, v.rotation, layer.rope.frequencies.size(),
                    layer.rope.stride);
}

vase_cuda_limits limits_of(const CudaEvictor::Shape &shape, size_t layers, int32_t cells,
                           int32_t n_sequences, int32_t window) {
  vase_cuda_limits limits{};
  limits.sequences = std::min(n_sequences, kSequencesAtOnce);
  limits.items = static_cast<int32_t>(layers) * limits.sequences;
  limits.n_heads = shape.n_heads;
  limits.n_query_heads = shape.n_query_heads;
  limits.n_rows = cells;
  limits.n_queries = window;
  limits.keys_dim = shape.keys_dim;
  limits.values_dim = shape.values_dim;
  return limits;
}

int32_t window_of(const vase_params &params) {
  return vase_policy_needs_queries(params.policy) != 0 ? params.window : 0;
}

// What of_layer(layer) has of each, one after the other, in the memory of the current device.
template <typename OfLayer>
DeviceArray<float> upload(std::span<const CacheLayer> layers, std::span<const size_t> chosen,
                          const OfLayer &of_layer) {
  std::vector<float> all;
  for (const size_t layer : chosen) {
    const std::vector<float> &own = of_layer(layers[layer]);
    all.insert(all.end(), own.begin(), own.end());
  }
  if (all.empty()) return {};
  DeviceArray<float> array(all.size());
  check_cuda(cudaMemcpy(array.data(), all.data(), array.bytes(), cudaMemcpyHostToDevice),
             "uploading what is known of layers");
  return array;
}

const std::vector<float> &frequencies_of(const CacheLayer &layer) { return layer.rope.frequencies; }
const std::vector<float> &calibration_of(const CacheLayer &layer) { return layer.calibration; }

// Of the rows that the last eviction left.
std::span<const int32_t> survivor_cells(const SequenceRows &rows) {
  return rows.cells().first(static_cast<size_t>(rows.rows() - rows.new_rows()));
}

void check_vase(vase_status status) {
  if (status != VASE_OK) throw Error(std::string("eviction failed: ") + vase_last_error());
}

}  // namespace

bool CudaEvictor::reaches(std::span<const CacheLayer> layers) {
  return std::ranges::all_of(layers, [](const CacheLayer &layer) {
    const int device = device_of(layer.keys.tensor);
    // One choice for several layers, and what is carried along, is not known to the kernels.
    return device >= 0 && layer.carried.empty() && device_of(layer.values.tensor) == device &&
           layer.keys.rows.dim <= VASE_CUDA_MOST_DIM && layer.values.rows.dim <= VASE_CUDA_MOST_DIM;
  });
}

CudaEvictor::CudaEvictor(const vase_params &params, std::span<const CacheLayer> layers,
                         int32_t cells, int32_t n_sequences)
    : layers_(layers),
      cells_(cells),
      n_sequences_(n_sequences),
      window_(window_of(params)),
      places_(layers.size()) {
  std::map<decltype(shape_of(layers[0])), std::vector<size_t>> groups;
  for (size_t layer = 0; layer < layers.size(); ++layer)
    groups[shape_of(layers[layer])].push_back(layer);
  for (const auto &[shape, group] : groups) {
    for (size_t index = 0; index < group.size(); ++index)
      places_[group[index]] = {parts_.size(), index};
    parts_.push_back(make_part(group));
  }
}

std::unique_ptr<CudaEvictor::Part> CudaEvictor::make_part(std::vector<size_t> layers) const {
  const CacheLayer &shape = layers_[layers.front()];
  const int device = device_of(shape.keys.tensor);
  const CurrentDevice current(device);
  auto part = std::make_unique<Part>();
  part->device = device;
  part->layers = std::move(layers);
  const size_t n_layers = part->layers.size();
  const auto heads =
      n_layers * static_cast<size_t>(n_sequences_) * static_cast<size_t>(shape.n_heads);
  part->queries =
      CudaQueries(n_layers, n_sequences_, window_, shape.n_query_heads, shape.keys.rows.dim);
  part->positions = DeviceArray<int32_t>(heads * static_cast<size_t>(cells_));
  if (window_ > 0) part->sums = DeviceArray<float>(heads * static_cast<size_t>(cells_));
  part->moved = DeviceArray<int32_t>(heads);
  part->moved_copy.resize(heads);
  part->stored.reserve(n_layers);
  part->frequencies = upload(layers_, part->layers, frequencies_of);
  part->calibration = upload(layers_, part->layers, calibration_of);
  // The part's stream does not wait for what fills these arrays.
  check_cuda(cudaDeviceSynchronize(), "preparing working memory of evictions");

  const vase_cuda_limits limits =
      limits_of({shape.n_heads, shape.n_query_heads, shape.keys.rows.dim, shape.values.rows.dim},
                n_layers, cells_, n_sequences_, window_);
  vase_cuda *cuda = nullptr;
  check_vase(vase_cuda_create(&limits, &cuda));
  part->cuda.reset(cuda);
  return part;
}

size_t CudaEvictor::bytes_needed(const vase_params &params, const Shape &shape, size_t layers,
                                 int32_t cells, int32_t n_sequences) {
  const int32_t window = window_of(params);
  const vase_cuda_limits limits = limits_of(shape, layers, cells, n_sequences, window);
  const size_t pairs = layers * static_cast<size_t>(n_sequences);
  const size_t heads = pairs * static_cast<size_t>(shape.n_heads);
  const size_t queries = pairs * static_cast<size_t>(shape.n_query_heads) *
                         static_cast<size_t>(window) * static_cast<size_t>(shape.keys_dim);
  const size_t frequencies = layers * static_cast<size_t>(shape.keys_dim) / 2;  // at most
  const size_t calibration = vase_policy_needs_calibration(params.policy) != 0
                                 ? 3 * frequencies * static_cast<size_t>(shape.n_query_heads)
                                 : 0;
  const size_t sums = window > 0 ? heads * static_cast<size_t>(cells) : 0;
  return vase_cuda_bytes_needed(&limits) +
         (queries + frequencies + calibration + sums) * sizeof(float) +
         heads * (static_cast<size_t>(cells) + 1) * sizeof(int32_t);
}

size_t CudaEvictor::bytes() const {
  size_t bytes = 0;
  for (const auto &part : parts_)
    bytes += part->queries.bytes() + part->positions.bytes() + part->sums.bytes() +
             part->moved.bytes() + part->frequencies.bytes() + part->calibration.bytes() +
             vase_cuda_bytes(part->cuda.get());
  return bytes;
}

// The working memory fits the largest budget, and nothing of it depends on the policy. A policy
// without kernels is refused here, before any text.
void CudaEvictor::reserve(const vase_params &params) {
  if (vase_cuda_supports(params.policy) == 0)
    throw Error("policy " + std::string(vase_policy_name(params.policy)) +
                " has no CUDA kernels, and this context evicts on a CUDA device");
}

void CudaEvictor::store(std::span<const LayerQueries> layers,
                        std::span<const WantedQuery> wanted) noexcept {
  for (const LayerQueries &from : layers) {
    const Place place = places_[from.layer];
    parts_[place.part]->stored.push_back({place.index, from.queries});
  }
  const auto note = [&](cudaError_t status) {
    if (status != cudaSuccess && capture_error_.empty())
      capture_error_ = cudaGetErrorString(status);
  };
  for (const auto &part : parts_) {
    if (part->stored.empty()) continue;
    const CurrentDevice current(part->device);
    note(part->queries.store(part->stored, wanted, part->stream.get()));
  }
  for (const auto &part : parts_) {
    if (part->stored.empty()) continue;
    const CurrentDevice current(part->device);
    note(cudaStreamSynchronize(part->stream.get()));
    part->stored.clear();
  }
}

template <typename T>
T *CudaEvictor::own_of(const DeviceArray<T> &all, const Part &part, size_t index,
                       int32_t stream) const {
  if (all.size() == 0) return nullptr;
  const auto n_heads = static_cast<size_t>(layers_[part.layers.front()].n_heads);
  const size_t first_head =
      (index * static_cast<size_t>(n_sequences_) + static_cast<size_t>(stream)) * n_heads;
  return all.data() + first_head * static_cast<size_t>(cells_);
}

int32_t *CudaEvictor::positions_of(const Part &part, size_t index, int32_t stream) const {
  return own_of(part.positions, part, index, stream);
}

vase_cuda_item CudaEvictor::describe(const Part &part, size_t index,
                                     const Eviction &eviction) const {
  const size_t layer_index = part.layers[index];
  const CacheLayer &layer = layers_[layer_index];
  vase_cuda_item item{};
  item.layer.keys = layer.keys.in_place(eviction.stream);
  item.layer.values = layer.values.in_place(eviction.stream);
  item.layer.rope = layer.rope.view();
  if (item.layer.rope.frequencies != nullptr)
    item.layer.rope.frequencies =
        part.frequencies.data() + index * static_cast<size_t>(item.layer.rope.pairs);
  if (!layer.calibration.empty())
    item.layer.calibration = part.calibration.data() + index * layer.calibration.size();
  item.layer.n_heads = layer.n_heads;
  item.layer.n_rows = eviction.rows->rows();
  item.layer.cells = eviction.rows->cells().data();
  if (vase_policy_needs_queries(eviction.params.policy) != 0) {
    item.layer.queries = part.queries.ring(index, eviction.stream);
    item.layer.n_queries = window_;
    item.query_head_stride = part.queries.head_stride();
    item.query_token_stride = part.queries.token_stride();
  }
  item.layer.n_query_heads = layer.n_query_heads;
  item.layer.scale = layer.scale;
  item.layer.pinned_first = eviction.pinned.first_end;
  item.layer.pinned_begin = eviction.pinned.begin;
  item.layer.pinned_end = eviction.pinned.end;
  item.layer.sequence = eviction.draw_stream;
  item.layer.eviction = eviction.number;
  item.layer.layer = static_cast<uint32_t>(layer_index);
  item.positions = positions_of(part, index, eviction.stream);
  item.position_stride = cells_;
  item.sums = own_of(part.sums, part, index, eviction.stream);
  item.n_new = eviction.rows->new_rows();
  item.new_position = static_cast<int32_t>(eviction.rows->tokens()) - item.n_new;
  return item;
}

std::vector<vase_cuda_item> CudaEvictor::items_of(const Part &part,
                                                  std::span<Eviction *const> group) const {
  std::vector<vase_cuda_item> items;
  items.reserve(group.size() * part.layers.size());
  for (const Eviction *eviction : group)
    for (size_t index = 0; index < part.layers.size(); ++index)
      items.push_back(describe(part, index, *eviction));
  return items;
}

void CudaEvictor::check(std::span<Eviction *const> group) const {
  for (const auto &part : parts_) {
    const std::vector<vase_cuda_item> items = items_of(*part, group);
    check_vase(vase_cuda_check(part->cuda.get(), &group.front()->params, items.data(),
                               static_cast<int32_t>(items.size()), 0));
  }
}

void CudaEvictor::launch(Part &part, std::span<Eviction *const> group) const {
  const std::vector<vase_cuda_item> items = items_of(part, group);
  const CurrentDevice current(part.device);
  check_vase(vase_cuda_evict(part.cuda.get(), &group.front()->params, items.data(),
                             static_cast<int32_t>(items.size()), 0, part.moved.data(),
                             part.stream.get()));
  const size_t heads = items.size() * static_cast<size_t>(layers_[part.layers.front()].n_heads);
  check_cuda(cudaMemcpyAsync(part.moved_copy.data(), part.moved.data(), heads * sizeof(int32_t),
                             cudaMemcpyDeviceToHost, part.stream.get()),
             "reading how many rows moved");
}

void CudaEvictor::evict_group(std::span<Eviction *const> all, const FreeLabels &free_labels) {
  std::vector<Eviction *> group;
  for (Eviction *eviction : all)
    if (free_labels(*eviction, eviction->rows->rows() - eviction->params.budget))
      group.push_back(eviction);
  if (group.empty()) return;
  for (const auto &part : parts_) launch(*part, group);
  for (const auto &part : parts_) {
    const CurrentDevice current(part->device);
    part->stream.wait();
    const size_t heads =
        part->layers.size() * static_cast<size_t>(layers_[part->layers.front()].n_heads);
    auto moved = part->moved_copy.begin();
    for (Eviction *eviction : group) {
      const auto end = moved + static_cast<ptrdiff_t>(heads);
      eviction->moved += std::accumulate(moved, end, int64_t{0});
      moved = end;
    }
  }
  for (Eviction *eviction : group) {
    eviction->rows->drop_oldest(eviction->rows->rows() - eviction->params.budget,
                                eviction->params.recency);
    eviction->done = true;
  }
}

void CudaEvictor::evict(std::span<Eviction> evictions, const FreeLabels &free_labels) {
  if (!capture_error_.empty())
    throw Error("CUDA failed while queries were copied: " + std::exchange(capture_error_, {}));
  std::vector<Eviction *> todo;
  for (Eviction &eviction : evictions)
    if (eviction.rows->rows() > eviction.params.budget) todo.push_back(&eviction);
  // One call serves sequences that share all parameters.
  const auto less = [](const Eviction *a, const Eviction *b) {
    return parameters_of(a->params) < parameters_of(b->params);
  };
  std::ranges::stable_sort(todo, less);
  const auto for_groups = [&](const auto &use) {
    for (auto first = todo.begin(); first != todo.end();) {
      const auto end = std::upper_bound(first, todo.end(), *first, less);
      use(std::span<Eviction *const>(first, end));
      first = end;
    }
  };
  // Choosing and moving are one call here: all that libvase could refuse is asked before.
  for_groups([&](std::span<Eviction *const> group) { check(group); });
  for_groups([&](std::span<Eviction *const> group) { evict_group(group, free_labels); });
}

void CudaEvictor::copy(int32_t from, int32_t to) {
  for (const auto &part : parts_) {
    const CurrentDevice current(part->device);
    const auto n_heads = static_cast<size_t>(layers_[part->layers.front()].n_heads);
    const auto copy_all = [&](const auto &all) {
      for (size_t index = 0; all.size() > 0 && index < part->layers.size(); ++index)
        check_cuda(cudaMemcpyAsync(own_of(all, *part, index, to), own_of(all, *part, index, from),
                                   n_heads * static_cast<size_t>(cells_) * sizeof(*all.data()),
                                   cudaMemcpyDeviceToDevice, part->stream.get()),
                   "copying what is kept of rows");
    };
    copy_all(part->positions);
    copy_all(part->sums);
    check_cuda(part->queries.copy(from, to, part->stream.get()), "copying queries");
    part->stream.wait();
  }
}

template <typename T>
std::vector<T> CudaEvictor::read(DeviceArray<T> Part::*all, size_t layer, int32_t stream) const {
  const Place place = places_[layer];
  const Part &part = *parts_[place.part];
  const T *own = own_of(part.*all, part, place.index, stream);
  if (own == nullptr) return {};
  const CurrentDevice current(part.device);
  std::vector<T> by_cell(static_cast<size_t>(layers_[layer].n_heads) * static_cast<size_t>(cells_));
  check_cuda(cudaMemcpy(by_cell.data(), own, by_cell.size() * sizeof(T), cudaMemcpyDeviceToHost),
             "reading what is kept of rows");
  return by_cell;
}

template <typename T>
std::vector<T> CudaEvictor::read_survivors(DeviceArray<T> Part::*all, int32_t stream,
                                           const SequenceRows &rows) const {
  std::vector<T> values;
  for (size_t layer = 0; layer < layers_.size(); ++layer) {
    const std::vector<T> by_cell = read(all, layer, stream);
    for (size_t first = 0; first < by_cell.size(); first += static_cast<size_t>(cells_))
      for (const int32_t cell : survivor_cells(rows))
        values.push_back(by_cell[first + static_cast<size_t>(cell)]);
  }
  return values;
}

// Nothing in `values`: 0 for all.
template <typename T>
void CudaEvictor::write_survivors(DeviceArray<T> Part::*all, int32_t stream,
                                  const SequenceRows &rows, const std::vector<T> &values) {
  auto value = values.begin();
  for (size_t layer = 0; layer < layers_.size(); ++layer) {
    const Place place = places_[layer];
    const Part &part = *parts_[place.part];
    T *own = own_of(part.*all, part, place.index, stream);
    if (own == nullptr) continue;
    std::vector<T> by_cell(static_cast<size_t>(layers_[layer].n_heads) *
                           static_cast<size_t>(cells_));
    if (!values.empty())
      for (size_t first = 0; first < by_cell.size(); first += static_cast<size_t>(cells_))
        for (const int32_t cell : survivor_cells(rows))
          by_cell[first + static_cast<size_t>(cell)] = *value++;
    const CurrentDevice current(part.device);
    check_cuda(cudaMemcpy(own, by_cell.data(), by_cell.size() * sizeof(T), cudaMemcpyHostToDevice),
               "restoring what is kept of rows");
  }
}

size_t CudaEvictor::heads_of_all_layers() const {
  size_t heads = 0;
  for (const CacheLayer &layer : layers_) heads += static_cast<size_t>(layer.n_heads);
  return heads;
}

size_t CudaEvictor::queries_of_sequence() const {
  size_t values = 0;
  for (const Place &place : places_)
    values += static_cast<size_t>(parts_[place.part]->queries.ring_bytes()) / sizeof(float);
  return values;
}

KeptOfSequence CudaEvictor::save(int32_t stream, const SequenceRows &rows) const {
  KeptOfSequence kept;
  kept.survivors = read_survivors(&Part::positions, stream, rows);
  kept.sums = read_survivors(&Part::sums, stream, rows);
  if (std::ranges::all_of(kept.sums, [](float sum) { return sum == 0; })) kept.sums.clear();
  for (const Place &place : places_) {
    const Part &part = *parts_[place.part];
    const CurrentDevice current(part.device);
    check_cuda(part.queries.save(place.index, stream, kept.queries), "reading queries");
  }
  return kept;
}

void CudaEvictor::restore(int32_t stream, const SequenceRows &rows, const KeptOfSequence &kept) {
  if (kept.survivors.size() != heads_of_all_layers() * survivor_cells(rows).size() ||
      (!kept.sums.empty() && kept.sums.size() != kept.survivors.size()))
    throw Error("a saved sequence is of other layers than this context has");
  if (kept.queries.size() != queries_of_sequence())
    throw Error("a saved sequence has " + std::to_string(kept.queries.size()) +
                " numbers of queries where this context keeps " +
                std::to_string(queries_of_sequence()) +
                "; it was saved under another policy, window or model");
  write_survivors(&Part::positions, stream, rows, kept.survivors);
  write_survivors(&Part::sums, stream, rows, kept.sums);
  std::span<const float> queries(kept.queries);
  for (const Place &place : places_) {
    Part &part = *parts_[place.part];
    const CurrentDevice current(part.device);
    const size_t own = static_cast<size_t>(part.queries.ring_bytes()) / sizeof(float);
    check_cuda(part.queries.restore(place.index, stream, queries.first(own)), "restoring queries");
    queries = queries.subspan(own);
  }
  // The parts' streams do not wait for these copies.
  check_cuda(cudaDeviceSynchronize(), "restoring a sequence");
}

std::vector<int32_t> CudaEvictor::positions(int32_t stream, size_t layer, int32_t head,
                                            const SequenceRows &rows) const {
  const std::vector<int32_t> by_cell = read(&Part::positions, layer, stream);
  const auto first = static_cast<size_t>(head) * static_cast<size_t>(cells_);
  // Rows that came after the last eviction are not on the device yet.
  std::vector<int32_t> positions;
  for (const int32_t cell : survivor_cells(rows))
    positions.push_back(by_cell[first + static_cast<size_t>(cell)]);
  positions.resize(static_cast<size_t>(rows.rows()));
  std::iota(positions.end() - rows.new_rows(), positions.end(),
            static_cast<int32_t>(rows.tokens()) - rows.new_rows());
  return positions;
}

}  // namespace vase
