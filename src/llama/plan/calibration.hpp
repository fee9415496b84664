// What `vase calibrate` measures of a model, and the file that it is kept in.
#ifndef VASE_LLAMA_PLAN_CALIBRATION_HPP
#define VASE_LLAMA_PLAN_CALIBRATION_HPP

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "llama.h"
#include "llama/graph/cache_layer.hpp"
#include "llama/graph/watcher.hpp"

namespace vase {

/// The mean queries of a model's bounded layers, for policies with vase_policy_needs_calibration().
struct Calibration {
  std::string model;   ///< what it was measured on, as name_of_model() says
  int64_t tokens = 0;  ///< of the text that it was measured over
  struct Layer {
    int32_t n_query_heads = 0;
    std::vector<float> values;  ///< vase_layer.calibration
  };
  std::vector<Layer> layers;
};

/// "SmolLM2 135M Instruct (llama, 134515008 parameters)": the same for all files of a model,
/// however its weights are quantised.
std::string name_of_model(const llama_model *model);

/// A GGUF file: a tensor [keys.dim / 2, 3, n_query_heads] of f32 for each layer, "query.0" and so
/// on. Throws Error if it cannot be written.
void write_calibration(const std::filesystem::path &path, const Calibration &calibration);

/// Throws Error if there is no such file, or one that write_calibration() did not write, or it is
/// damaged.
Calibration read_calibration(const std::filesystem::path &path);

/// Reads what `policy` needs into the layers of `watcher`, which has found them; also what it does
/// not need, if there is a file. `path`: "" if none was given. Throws Error if one is needed, or as
/// read_calibration() and check_fits() do.
void calibrate_layers(Watcher &watcher, const llama_model *model, const vase_policy *policy,
                      const std::string &path);

/// Throws Error if the calibration in the file at `path` is one of another model.
void check_model(const Calibration &calibration, const std::filesystem::path &path,
                 const llama_model *model);
/// The same, and that it fits the model's bounded layers.
void check_fits(const Calibration &calibration, const std::filesystem::path &path,
                const llama_model *model, std::span<const CacheLayer> layers);

/// What to do where there is none: a sentence's end.
std::string how_to_calibrate();

}  // namespace vase

#endif
