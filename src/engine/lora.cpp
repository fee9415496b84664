#include "engine/lora.hpp"

#include <fmt/format.h>

#include <string_view>

#include "vase/llama.hpp"

namespace vase::engine {
namespace {

constexpr std::string_view kSuffixA = ".lora_a";
constexpr std::string_view kSuffixB = ".lora_b";

std::string to_string(const TensorShape &shape) {
  std::string text = fmt::format("{} x {}", shape[0], shape[1]);
  if (shape[2] > 1 || shape[3] > 1) text += fmt::format(" x {}", shape[2]);
  if (shape[3] > 1) text += fmt::format(" x {}", shape[3]);
  return text;
}

// Shape of the matrix that an adapter's A [in, rank] and B [rank, out] are added to. Those of the
// token embedding are stored the other way round.
TensorShape adapted_shape(const std::string &tensor, const TensorShape &a, const TensorShape &b) {
  if (tensor.ends_with("token_embd.weight")) return {b[1], a[1], 1, 1};
  return {a[0], b[1], 1, 1};
}

void check_architecture(const GgufFile &base, const GgufFile &adapter) {
  if (adapter.type() != "adapter") {
    throw Error(fmt::format("{} is not a LoRA adapter", adapter.path()));
  }
  const std::string wanted = adapter.string("general.architecture");
  const std::string actual = base.string("general.architecture");
  if (wanted != actual) {
    throw Error(fmt::format("adapter {} is for architecture \"{}\", the model is \"{}\"",
                            adapter.path(), wanted, actual));
  }
}

void check_tensor(const GgufFile &base, const GgufFile &adapter, const std::string &tensor) {
  const auto a = adapter.shape(tensor + std::string(kSuffixA));
  const auto b = adapter.shape(tensor + std::string(kSuffixB));
  if (!a || !b) {
    throw Error(fmt::format("adapter {} is damaged: half of the pair for {} is missing",
                            adapter.path(), tensor));
  }
  const TensorShape wanted = adapted_shape(tensor, *a, *b);
  const auto actual = base.shape(tensor);
  if (!actual) {
    if (base.n_parts() > 1) return;  // in another part; llama.cpp will look there
    throw Error(
        fmt::format("adapter {} does not fit the model: it changes {} ({}), which the model lacks",
                    adapter.path(), tensor, to_string(wanted)));
  }
  if ((*actual)[0] != wanted[0] || (*actual)[1] != wanted[1]) {
    throw Error(
        fmt::format("adapter {} does not fit the model: {} is {} in the adapter, {} in the model",
                    adapter.path(), tensor, to_string(wanted), to_string(*actual)));
  }
}

}  // namespace

void check_adapter_fits(const GgufFile &base, const GgufFile &adapter) {
  check_architecture(base, adapter);
  for (const GgufFile::Tensor &one : adapter.tensors()) {
    const std::string &name = one.name;
    if (!name.ends_with(kSuffixA) && !name.ends_with(kSuffixB)) continue;
    check_tensor(base, adapter, name.substr(0, name.size() - kSuffixA.size()));
  }
}

}  // namespace vase::engine
