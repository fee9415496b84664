#include "eval/fingerprint.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <fstream>

#include "tasks/random.hpp"
#include "vase/llama.hpp"

namespace vase::eval {

std::string fingerprint(const std::filesystem::path &path) {
  constexpr std::streamoff kPart = 4 << 20;
  std::ifstream file(path, std::ios::binary | std::ios::ate);
  const std::streamoff size = file.tellg();
  if (!file || size < 0) throw Error(fmt::format("cannot read {}", path.string()));
  std::string parts(static_cast<std::size_t>(std::min(2 * kPart, size)), '\0');
  const auto first = std::min<std::streamoff>(kPart, std::ssize(parts));
  file.seekg(0);
  file.read(parts.data(), first);
  file.seekg(size - (std::ssize(parts) - first));
  file.read(parts.data() + first, std::ssize(parts) - first);
  if (!file) throw Error(fmt::format("cannot read {}", path.string()));
  return fmt::format("{}-{:016x}", size, tasks::hash_text(parts));
}

}  // namespace vase::eval
