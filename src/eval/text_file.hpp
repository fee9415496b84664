// Whole files, read and written so that a wrong name or a full disk is said in words.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>

namespace vase::eval {

/// All of a file (or pipe). Throws Error if it cannot be read, is a folder, or a device, which
/// might never end.
std::string read_text_file(const std::filesystem::path &path);

/// A file that grows by whole lines, for one process at a time.
class LineFile {
 public:
  /// Opens `path`, or makes it; folders above it are made. Throws Error if it cannot be written, if
  /// it is no ordinary file, which could be read again, or if another process has it open so.
  explicit LineFile(const std::filesystem::path &path);
  ~LineFile();
  LineFile(const LineFile &) = delete;
  LineFile &operator=(const LineFile &) = delete;

  /// Writes a line and hands it to the system at once. Throws Error if that fails, as on a full
  /// disk; what was written of it is then cut off again, so that the file still ends with a line.
  void append(const std::string &line);
  /// Cuts off what is behind `size` bytes. Throws Error if that fails.
  void cut(std::size_t size);

 private:
  std::filesystem::path path_;
  int file_ = -1;
};

}  // namespace vase::eval
