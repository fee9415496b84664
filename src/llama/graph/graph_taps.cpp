#include "llama/graph/graph_taps.hpp"

#include <map>
#include <string>

#include "llama/graph/views.hpp"
#include "vase/llama.hpp"

namespace vase {
namespace {

size_t round_up(size_t bytes, size_t multiple) {
  return (bytes + multiple - 1) / multiple * multiple;
}

}  // namespace

ggml_tensor outliving(const ggml_tensor *tensor) {
  ggml_tensor copy = *tensor;
  copy.view_src = nullptr;  // may be gone when this is read
  copy.view_offs = 0;       // is in the address already
  return copy;
}

void GraphTaps::add(const ggml_tensor *tensor) {
  const ggml_tensor *storage = storage_of(tensor);
  taps_.push_back({ggml_backend_buffer_get_type(storage->buffer), ggml_nbytes(storage)});
}

void GraphTaps::allocate(int32_t tokens) {
  std::map<ggml_backend_buffer_type_t, size_t> totals;
  for (Tap &tap : taps_) {
    tap.bytes = round_up(tap.token_bytes * static_cast<size_t>(tokens),
                         ggml_backend_buft_get_alignment(tap.device));
    totals[tap.device] += tap.bytes;
  }
  for (const auto &[device, total] : totals) {
    Buffer buffer(ggml_backend_buft_alloc_buffer(device, total));
    if (buffer == nullptr)
      throw Error(std::string(ggml_backend_buft_name(device)) + " has no " + std::to_string(total) +
                  " bytes left for the queries of a step");
    ggml_backend_buffer_set_usage(buffer.get(), GGML_BACKEND_BUFFER_USAGE_COMPUTE);
    auto *next = static_cast<std::byte *>(ggml_backend_buffer_get_base(buffer.get()));
    for (Tap &tap : taps_) {
      if (tap.device != device) continue;
      tap.buffer = buffer.get();
      tap.data = next;
      next += tap.bytes;
    }
    buffers_.push_back(std::move(buffer));
  }
}

size_t GraphTaps::bytes() const {
  size_t bytes = 0;
  for (const Buffer &buffer : buffers_) bytes += ggml_backend_buffer_get_size(buffer.get());
  return bytes;
}

bool GraphTaps::hold(size_t tap, const ggml_tensor *tensor) const {
  return tap < taps_.size() && taps_[tap].buffer != nullptr &&
         storage_of(tensor)->data == taps_[tap].data;
}

void GraphTaps::forget() {
  views_.clear();
  planned_.clear();
}

void GraphTaps::redirect() {
  for (const Planned &planned : planned_) redirect(taps_[planned.tap], storage_of(planned.tensor));
  forget();
}

void GraphTaps::redirect(const Tap &tap, ggml_tensor *storage) {
  const bool fits =
      tap.buffer != nullptr && ggml_backend_buffer_get_type(storage->buffer) == tap.device &&
      ggml_backend_buffer_get_usage(storage->buffer) == GGML_BACKEND_BUFFER_USAGE_COMPUTE &&
      ggml_backend_buffer_get_alloc_size(tap.buffer, storage) <= tap.bytes;
  if (!fits) return;

  // ggml allocates only tensors that have no memory yet.
  storage->buffer = nullptr;
  storage->data = nullptr;
  ggml_backend_tensor_alloc(tap.buffer, storage, tap.data);
  for (ggml_tensor *view : views_) {
    if (view->view_src != storage) continue;
    view->buffer = nullptr;
    view->data = nullptr;
    ggml_backend_view_init(view);
  }
}

}  // namespace vase
