#include "engine/own_library.hpp"

#include <system_error>

namespace vase::engine {

std::optional<std::filesystem::path> own_library(const char *name) {
  std::error_code error;
  const auto program = std::filesystem::read_symlink("/proc/self/exe", error).parent_path();
  const auto beside = program.parent_path();
  for (const auto &folder : {beside / "lib", beside / VASE_LIBRARY_FOLDER, program,
                             std::filesystem::path(VASE_BUILT_LIBRARIES)}) {
    if (std::filesystem::exists(folder / name, error)) return folder / name;
  }
  return std::nullopt;
}

}  // namespace vase::engine
