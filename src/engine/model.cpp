#include "engine/model.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "engine/log.hpp"
#include "engine/lora.hpp"
#include "llama/owned/measure_queries.hpp"
#include "llama/plan/own_memory.hpp"

namespace vase::engine {
namespace {

// The reason that llama.cpp gave for a failure, ready to be put behind a sentence.
std::string because() {
  const std::string reason = take_log_error();
  return reason.empty() ? "" : ": " + reason;
}

llama_model *load(const ModelOptions &options, bool &stopped) {
  struct State {
    const std::function<bool(float)> &progress;
    bool &stopped;
  } state{options.progress, stopped};

  llama_model_params params = llama_model_default_params();
  params.n_gpu_layers = options.n_gpu_layers;
  std::vector<float> shares;
  set_devices(options.devices, params, shares);
  if (options.progress) {
    params.progress_callback_user_data = &state;
    params.progress_callback = [](float done, void *user_data) {
      auto &s = *static_cast<State *>(user_data);
      s.stopped = !s.progress(done);
      return !s.stopped;
    };
  }
  return llama_model_load_from_file(options.path.c_str(), params);
}

}  // namespace

ModelHeader read_headers(const ModelOptions &options) {
  const std::vector<GgufFile> files = open_model(options.path.string());
  ModelHeader header = header_of(files);
  for (const LoraFile &lora : options.loras) {
    const GgufFile adapter(lora.path.string(), GgufFile::Role::kAdapter);
    check_adapter_fits(files.front(), adapter);
    header.adapters += adapter.tensor_bytes();
    header.adapted += static_cast<std::size_t>(adapter.n_tensors()) / 2;  // a pair for each
  }
  return header;
}

Model::Model(const ModelOptions &options) : calibration_(options.calibration) {
  if (!options.checked) read_headers(options);
  take_log_error();
  bool stopped = false;
  model_.reset(load(options, stopped));
  if (stopped) throw LoadStopped();
  if (!model_) throw Error(fmt::format("cannot load {}{}", options.path.string(), because()));
  if (!calibration_.empty()) check_model(read_calibration(calibration_), calibration_, get());
  load_adapters(options.loras);
  give_back_freed_memory();
}

void Model::load_adapters(const std::vector<LoraFile> &loras) {
  for (const LoraFile &lora : loras) {
    take_log_error();
    llama_adapter_lora *adapter = llama_adapter_lora_init(model_.get(), lora.path.c_str());
    if (adapter == nullptr) {
      throw Error(fmt::format("cannot load adapter {}{}", lora.path.string(), because()));
    }
    adapters_.push_back(adapter);
    scales_.push_back(lora.scale);
  }
}

void Model::apply_adapters(llama_context *context) const {
  if (adapters_.empty()) return;
  std::vector<llama_adapter_lora *> adapters = adapters_;
  std::vector<float> scales = scales_;
  take_log_error();
  if (llama_set_adapters_lora(context, adapters.data(), adapters.size(), scales.data()) != 0) {
    throw Error("cannot apply the adapters" + because());
  }
}

BoundedContext Model::make_context(const BoundedOptions &options) const {
  BoundedOptions own = options;
  if (own.calibration.empty()) own.calibration = calibration_;
  BoundedContext context(get(), own);
  apply_adapters(context.get());
  return context;
}

Calibration Model::calibrate(const llama_context_params &params,
                             std::span<const llama_token> tokens, const Progress &progress) const {
  return measure_queries(
      get(), params, tokens, [this](llama_context *context) { apply_adapters(context); }, progress);
}

std::vector<llama_token> Model::control_tokens(std::span<const std::string> names) const {
  std::vector<llama_token> tokens;
  for (const std::string &name : names) {
    const std::vector<llama_token> read = tokenize(name, false);
    if (read.size() == 1 && piece(read[0]).empty()) tokens.push_back(read[0]);
  }
  return tokens;
}

std::optional<std::string> Model::chat_template() const {
  const char *text = llama_model_chat_template(get(), nullptr);
  return text == nullptr ? std::nullopt : std::optional<std::string>(text);
}

std::string Model::description() const {
  std::array<char, 128> text{};
  llama_model_desc(get(), text.data(), text.size());
  return text.data();
}

}  // namespace vase::engine
