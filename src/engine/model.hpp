// A loaded model and the adapters that belong to it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/devices.hpp"
#include "engine/vocabulary.hpp"
#include "llama.h"
#include "llama/plan/calibration.hpp"
#include "llama/plan/model_header.hpp"
#include "vase/llama.hpp"

namespace vase::engine {

struct LoraFile {
  std::filesystem::path path = {};
  float scale = 1.0f;
};

struct ModelOptions {
  std::filesystem::path path = {};
  std::vector<LoraFile> loras = {};
  std::int32_t n_gpu_layers = 0;  ///< negative: all
  Devices devices = {};
  bool checked = false;          ///< read_headers() was asked about these files already
  std::string calibration = {};  ///< of the contexts that do not name one; "": none
  /// Called while the weights load, with 0 to 1. Return false to give up.
  std::function<bool(float)> progress = {};
};

/// Reads the headers of the model's file and of its adapters, each once. Throws Error if one is
/// missing, damaged, not what it is given as, or does not belong to the others.
ModelHeader read_headers(const ModelOptions &options);

/// Thrown by Model if ModelOptions::progress returned false.
class LoadStopped : public Error {
 public:
  LoadStopped() : Error("loading was stopped") {}
};

class Model {
 public:
  /// Throws Error, with llama.cpp's reason if it has one.
  explicit Model(const ModelOptions &options);

  llama_model *get() const { return model_.get(); }
  const llama_vocab *vocab() const { return llama_model_get_vocab(model_.get()); }

  /// A bounded context on this model, with its adapters applied. The model must outlive it.
  BoundedContext make_context(const BoundedOptions &options) const;
  /// Measures the queries of the model with its adapters (measure_queries).
  Calibration calibrate(const llama_context_params &params, std::span<const llama_token> tokens,
                        const Progress &progress) const;

  std::vector<llama_token> tokenize(std::string_view text, bool at_start = true) const {
    return engine::tokenize(vocab(), text, at_start);
  }
  std::string piece(llama_token token, bool control = false) const {
    return engine::piece(vocab(), token, control);
  }
  /// Those of `names` that are control tokens.
  std::vector<llama_token> control_tokens(std::span<const std::string> names) const;
  bool is_eog(llama_token token) const { return llama_vocab_is_eog(vocab(), token); }

  /// The model's own chat template; nullopt if the file has none.
  std::optional<std::string> chat_template() const;
  /// "llama 135M Q4_1".
  std::string description() const;
  /// Tokens of context that the model was trained on.
  std::int32_t n_ctx_train() const { return llama_model_n_ctx_train(model_.get()); }

 private:
  void load_adapters(const std::vector<LoraFile> &loras);
  void apply_adapters(llama_context *context) const;

  struct ModelDeleter {
    void operator()(llama_model *model) const { llama_model_free(model); }
  };
  std::unique_ptr<llama_model, ModelDeleter> model_;
  std::vector<llama_adapter_lora *> adapters_;  // freed with the model
  std::vector<float> scales_;
  std::string calibration_;
};

}  // namespace vase::engine
