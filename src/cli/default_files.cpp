#include "cli/default_files.hpp"

#include <fmt/format.h>

#include <cstdlib>
#include <optional>
#include <system_error>

#include "engine/own_library.hpp"
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

/// Where a file of the program may be.
struct Places {
  Places(const char *name, const char *source_folder)
      : installed(program_folder().parent_path() / "share" / "vase" / name),
        built(std::filesystem::path(source_folder) / name) {}

  std::optional<std::filesystem::path> found() const {
    for (const auto &path : {installed, built}) {
      if (std::filesystem::exists(path)) return path;
    }
    return std::nullopt;
  }

  std::filesystem::path installed;
  std::filesystem::path built;
};

}  // namespace

std::filesystem::path models_folder() {
  auto cache = environment_path("VASE_CACHE");
  if (cache.empty() && !environment_path("XDG_CACHE_HOME").empty()) {
    cache = environment_path("XDG_CACHE_HOME") / "vase";
  }
  if (cache.empty()) cache = environment_path("HOME") / ".cache" / "vase";
  return cache / "models";
}

std::filesystem::path reasoner_adapter() {
  const Places places("vase-reasoner-lora.gguf", VASE_MODELS_FOLDER);
  if (const auto path = places.found()) return *path;
  throw Error(
      fmt::format("the reasoner's adapter is neither at {} nor at {}: reinstall, name a model with "
                  "-m, or use the plain base model with --no-reasoner",
                  places.installed.string(), places.built.string()));
}

std::filesystem::path eval_script(const char *name) {
  const Places places(name, VASE_EVAL_FOLDER);
  if (const auto path = places.found()) return *path;
  throw Error(fmt::format("the script {} is neither at {} nor at {}: reinstall vase", name,
                          places.installed.string(), places.built.string()));
}

std::filesystem::path interposed_library() {
  const char *name = "libvase-exec.so";
  if (const auto path = engine::own_library(name)) return *path;
  throw Error(fmt::format("{} is not in {}: reinstall vase (there is none outside Linux)", name,
                          (program_folder().parent_path() / "lib").string()));
}

}  // namespace vase::cli
