#include "eval/text_file.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>
#include <system_error>

#include "vase/llama.hpp"

namespace vase::eval {

std::string read_text_file(const std::filesystem::path &path) {
  std::error_code none;
  const auto kind = std::filesystem::status(path, none).type();
  if (kind == std::filesystem::file_type::directory) {
    throw Error(fmt::format("{} is a folder, not a file", path.string()));
  }
  if (kind == std::filesystem::file_type::character || kind == std::filesystem::file_type::block) {
    throw Error(fmt::format("{} is a device, not a file", path.string()));
  }
  std::ifstream file(path, std::ios::binary);
  if (!file) throw Error(fmt::format("cannot read {}: {}", path.string(), std::strerror(errno)));
  return {std::istreambuf_iterator<char>(file), {}};
}

LineFile::LineFile(const std::filesystem::path &path) : path_(path) {
  if (path.has_parent_path()) {
    std::error_code error;
    std::filesystem::create_directories(path.parent_path(), error);
  }
  file_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  if (file_ < 0) {
    throw Error(fmt::format("cannot write {}: {}", path.string(), std::strerror(errno)));
  }
  struct stat status = {};
  const bool ordinary = ::fstat(file_, &status) == 0 && S_ISREG(status.st_mode);
  const bool ours = ordinary && ::flock(file_, LOCK_EX | LOCK_NB) == 0;
  if (ours) return;
  ::close(file_);
  if (!ordinary) {
    throw Error(fmt::format("{} is no ordinary file: what is written there could not be read again",
                            path.string()));
  }
  throw Error(fmt::format("another process is writing to {}", path.string()));
}

LineFile::~LineFile() { ::close(file_); }

void LineFile::append(const std::string &line) {
  const off_t before = ::lseek(file_, 0, SEEK_END);
  const std::string bytes = line + "\n";
  std::size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t count = ::write(file_, bytes.data() + done, bytes.size() - done);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) {
      const int reason = errno;
      const bool whole = done == 0 || (before >= 0 && ::ftruncate(file_, before) == 0);
      throw Error(fmt::format("cannot write {}: {}; {}", path_.string(), std::strerror(reason),
                              whole ? "what was written before is all there"
                                    : "its last line is torn, the others are all there"));
    }
    done += static_cast<std::size_t>(count);
  }
}

void LineFile::cut(std::size_t size) {
  if (::ftruncate(file_, static_cast<off_t>(size)) == 0) return;
  throw Error(
      fmt::format("cannot cut {} off at {} bytes: {}", path_.string(), size, std::strerror(errno)));
}

}  // namespace vase::eval
