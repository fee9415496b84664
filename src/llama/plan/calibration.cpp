#include "llama/plan/calibration.hpp"

#include <array>
#include <cstring>
#include <memory>

#include "ggml.h"
#include "gguf.h"
#include "llama/plan/gguf_file.hpp"
#include "llama/plan/log_capture.hpp"
#include "vase/llama.hpp"

namespace vase {
namespace {

constexpr const char *kType = "vase-calibration";
constexpr uint32_t kVersion = 1;
constexpr const char *kVersionKey = "vase.calibration.version";
constexpr const char *kModelKey = "vase.calibration.model";
constexpr const char *kTokensKey = "vase.calibration.tokens";
constexpr const char *kChecksumKey = "vase.calibration.checksum";
constexpr int64_t kParts = 3;  // of a query head: real and imaginary parts, lengths

struct Free {
  void operator()(gguf_context *gguf) const { gguf_free(gguf); }
  void operator()(ggml_context *context) const { ggml_free(context); }
};
using Gguf = std::unique_ptr<gguf_context, Free>;
using Tensors = std::unique_ptr<ggml_context, Free>;

std::string tensor_name(size_t layer) { return "query." + std::to_string(layer); }

// FNV-1a of all values.
uint64_t checksum_of(const Calibration &calibration) {
  uint64_t hash = 0xcbf29ce484222325U;
  for (const Calibration::Layer &layer : calibration.layers)
    for (const float value : layer.values) {
      uint32_t bits = 0;
      std::memcpy(&bits, &value, sizeof(bits));
      hash = (hash ^ bits) * 0x100000001b3U;
    }
  return hash;
}

std::string text_of(const gguf_context *gguf, const char *key) {
  const int64_t id = gguf_find_key(gguf, key);
  return id >= 0 && gguf_get_kv_type(gguf, id) == GGUF_TYPE_STRING ? gguf_get_val_str(gguf, id)
                                                                   : "";
}

uint64_t number_of(const gguf_context *gguf, const char *key) {
  const int64_t id = gguf_find_key(gguf, key);
  return id >= 0 && gguf_get_kv_type(gguf, id) == GGUF_TYPE_UINT64 ? gguf_get_val_u64(gguf, id) : 0;
}

std::string metadata(const llama_model *model, const char *key) {
  std::array<char, 256> text{};
  const int32_t length = llama_model_meta_val_str(model, key, text.data(), text.size());
  return length > 0 ? text.data() : "unnamed";
}

Calibration::Layer layer_of(const ggml_tensor *tensor, const std::string &path) {
  if (tensor->type != GGML_TYPE_F32 || tensor->ne[1] != kParts || tensor->ne[3] != 1)
    throw Error("the calibration " + path + " is damaged: its tensor " + tensor->name +
                " has another shape than it should");
  const auto *first = static_cast<const float *>(tensor->data);
  return {static_cast<int32_t>(tensor->ne[2]), {first, first + ggml_nelements(tensor)}};
}

}  // namespace

std::string how_to_calibrate() {
  return "`vase calibrate -m MODEL -f TEXT -o FILE` measures it, and --calibration FILE "
         "(BoundedOptions::calibration) uses it";
}

std::string name_of_model(const llama_model *model) {
  return metadata(model, "general.name") + " (" + metadata(model, "general.architecture") + ", " +
         std::to_string(llama_model_n_params(model)) + " parameters)";
}

void write_calibration(const std::filesystem::path &path, const Calibration &calibration) {
  size_t bytes = 0;
  for (const Calibration::Layer &layer : calibration.layers)
    bytes += layer.values.size() * sizeof(float) + ggml_tensor_overhead() + GGML_MEM_ALIGN;
  const Tensors tensors(ggml_init({.mem_size = bytes, .mem_buffer = nullptr, .no_alloc = false}));
  const Gguf gguf(gguf_init_empty());
  gguf_set_val_str(gguf.get(), "general.type", kType);
  gguf_set_val_u64(gguf.get(), kVersionKey, kVersion);
  gguf_set_val_str(gguf.get(), kModelKey, calibration.model.c_str());
  gguf_set_val_u64(gguf.get(), kTokensKey, static_cast<uint64_t>(calibration.tokens));
  gguf_set_val_u64(gguf.get(), kChecksumKey, checksum_of(calibration));
  for (size_t i = 0; i < calibration.layers.size(); ++i) {
    const Calibration::Layer &layer = calibration.layers[i];
    const auto pairs = static_cast<int64_t>(layer.values.size()) / kParts / layer.n_query_heads;
    ggml_tensor *tensor =
        ggml_new_tensor_3d(tensors.get(), GGML_TYPE_F32, pairs, kParts, layer.n_query_heads);
    ggml_set_name(tensor, tensor_name(i).c_str());
    std::memcpy(tensor->data, layer.values.data(), layer.values.size() * sizeof(float));
    gguf_add_tensor(gguf.get(), tensor);
  }
  const LogCapture log(false);
  if (!gguf_write_to_file(gguf.get(), path.c_str(), false))
    throw Error("cannot write the calibration " + path.string() + log.because());
}

Calibration read_calibration(const std::filesystem::path &path) {
  if (std::error_code error; !std::filesystem::exists(path, error))
    throw Error("there is no calibration " + path.string() + "; " + how_to_calibrate());
  try {
    const GgufFile whole(path.string());
  } catch (const Error &error) {
    throw Error(path.string() + " is not a whole calibration of `vase calibrate`: " + error.what());
  }
  ggml_context *data = nullptr;
  const Gguf gguf(gguf_init_from_file(path.c_str(), {.no_alloc = false, .ctx = &data}));
  const Tensors tensors(data);
  if (const std::string type = gguf ? text_of(gguf.get(), "general.type") : ""; type != kType)
    throw Error(path.string() + " is not a calibration" +
                (type.empty() ? "" : ", but a file of type \"" + type + "\"") + "; " +
                how_to_calibrate());
  if (const uint64_t version = number_of(gguf.get(), kVersionKey); version != kVersion)
    throw Error("the calibration " + path.string() + " is of version " + std::to_string(version) +
                ", and this is version " + std::to_string(kVersion) + "; measure it anew");
  Calibration calibration;
  calibration.model = text_of(gguf.get(), kModelKey);
  calibration.tokens = static_cast<int64_t>(number_of(gguf.get(), kTokensKey));
  for (size_t i = 0; i < static_cast<size_t>(gguf_get_n_tensors(gguf.get())); ++i) {
    const ggml_tensor *tensor = ggml_get_tensor(tensors.get(), tensor_name(i).c_str());
    if (tensor == nullptr)
      throw Error("the calibration " + path.string() + " is damaged: layer " + std::to_string(i) +
                  " is missing");
    calibration.layers.push_back(layer_of(tensor, path.string()));
  }
  if (checksum_of(calibration) != number_of(gguf.get(), kChecksumKey))
    throw Error("the calibration " + path.string() + " is damaged: its checksum is wrong");
  return calibration;
}

void check_model(const Calibration &calibration, const std::filesystem::path &path,
                 const llama_model *model) {
  const std::string name = name_of_model(model);
  if (calibration.model != name)
    throw Error("the calibration " + path.string() + " was measured on " + calibration.model +
                ", and this model is " + name + "; " + how_to_calibrate());
}

void check_fits(const Calibration &calibration, const std::filesystem::path &path,
                const llama_model *model, std::span<const CacheLayer> layers) {
  check_model(calibration, path, model);
  bool fits = calibration.layers.size() == layers.size();
  for (size_t i = 0; fits && i < layers.size(); ++i) {
    const Calibration::Layer &own = calibration.layers[i];
    fits = own.n_query_heads == layers[i].n_query_heads &&
           own.values.size() == static_cast<size_t>(own.n_query_heads) * kParts *
                                    static_cast<size_t>(layers[i].keys.rows.dim / 2);
  }
  if (!fits)
    throw Error("the calibration " + path.string() + " is of a model with other layers or heads; " +
                how_to_calibrate());
}

void calibrate_layers(Watcher &watcher, const llama_model *model, const vase_policy *policy,
                      const std::string &path) {
  if (path.empty()) {
    if (vase_policy_needs_calibration(policy) == 0) return;
    throw Error("policy " + std::string(vase_policy_name(policy)) +
                " needs what was measured of this model's queries; " + how_to_calibrate());
  }
  Calibration calibration = read_calibration(path);
  check_fits(calibration, path, model, watcher.layers());
  for (size_t layer = 0; layer < calibration.layers.size(); ++layer)
    watcher.set_calibration(layer, std::move(calibration.layers[layer].values));
}

}  // namespace vase
