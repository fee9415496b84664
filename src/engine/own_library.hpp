// The libraries that this program does not link: they lie beside it.
#pragma once

#include <filesystem>
#include <optional>

namespace vase::engine {

/// Of this name, in lib beside the program's folder or in that itself, else where this build puts
/// it; nullopt: nowhere.
std::optional<std::filesystem::path> own_library(const char *name);

}  // namespace vase::engine
