#include "cli/default_files.hpp"

#include <fmt/format.h>

#include <cstdlib>
#include <system_error>

#include "vase/llama.hpp"

namespace vase::cli {
namespace {

std::filesystem::path environment_path(const char *name) {
  const char *value = std::getenv(name);
  return value == nullptr ? std::filesystem::path() : std::filesystem::path(value);
}

/// The folder of the running program; empty where the system does not tell.
std::filesystem::path program_folder() {
  std::error_code error;
  return std::filesystem::read_symlink("/proc/self/exe", error).parent_path();
}

}  // namespace

std::filesystem::path default_model() {
  auto cache = environment_path("VASE_CACHE");
  if (cache.empty() && !environment_path("XDG_CACHE_HOME").empty()) {
    cache = environment_path("XDG_CACHE_HOME") / "vase";
  }
  if (cache.empty()) cache = environment_path("HOME") / ".cache" / "vase";
  return cache / "models" / "SmolLM2-135M-Instruct.Q4_1.gguf";
}

std::filesystem::path reasoner_adapter() {
  const std::filesystem::path name = "vase-reasoner-lora.gguf";
  const std::filesystem::path installed = program_folder().parent_path() / "share" / "vase" / name;
  const std::filesystem::path built = std::filesystem::path(VASE_MODELS_FOLDER) / name;
  for (const auto &path : {installed, built}) {
    if (std::filesystem::exists(path)) return path;
  }
  throw Error(
      fmt::format("the reasoner's adapter is neither at {} nor at {}: reinstall, name a model with "
                  "-m, or use the plain base model with --no-reasoner",
                  installed.string(), built.string()));
}

}  // namespace vase::cli
