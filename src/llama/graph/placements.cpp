#include "llama/graph/placements.hpp"

#include "ggml-backend.h"

namespace vase {

void Placements::hold_like(const ggml_tensor *indices, int32_t n_sequences) {
  tap_.add(indices);
  tap_.allocate(n_sequences);
}

void Placements::begin_decode() {
  all_.clear();
  tap_.forget();
  ubatches_ = 0;
  ubatch_begin_ = 0;
}

void Placements::begin_ubatch(ggml_tensor *indices) {
  held_.reset();
  if (tap_.hold(0, indices))
    held_ = outliving(indices);
  else
    tap_.plan(0, indices);
  read(indices);
}

void Placements::repeat_ubatch() { read(&*held_); }

void Placements::fail() {
  all_.clear();
  ubatch_begin_ = 0;
  held_.reset();
}

void Placements::read(const ggml_tensor *indices) {
  ++ubatches_;
  ubatch_begin_ = all_.size();
  const auto count = static_cast<size_t>(ggml_nelements(indices));
  indices_.resize(count);
  ggml_backend_tensor_get(indices, indices_.data(), 0, count * sizeof(int64_t));
  for (const int64_t index : indices_)
    all_.push_back({static_cast<int32_t>(index / cells_), static_cast<int32_t>(index % cells_)});
}

}  // namespace vase
