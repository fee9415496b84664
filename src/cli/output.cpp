#include "cli/output.hpp"

#include <fmt/format.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>

#include "vase/llama.hpp"

namespace vase::cli {

void write_json_file(const std::string &path, const nlohmann::ordered_json &json) {
  std::ofstream file(path, std::ios::binary);
  file << json.dump(2) << '\n';
  file.close();
  if (!file) throw Error(fmt::format("cannot write {}", path));
}

void write_output(std::string_view text) {
  errno = 0;
  const bool written = std::fwrite(text.data(), 1, text.size(), stdout) == text.size();
  if (written && std::fflush(stdout) == 0) return;
  if (errno == EPIPE) throw OutputClosed();
  throw Error(fmt::format("cannot write to the standard output: {}", std::strerror(errno)));
}

}  // namespace vase::cli
