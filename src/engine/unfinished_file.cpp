#include "engine/unfinished_file.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <random>
#include <system_error>
#include <utility>

namespace vase::engine {
namespace {

namespace fs = std::filesystem;

// Not the process's number: processes in containers have the same.
std::uint64_t draw_name() {
  std::random_device device;
  return (std::uint64_t{device()} << 32U) | device();
}

}  // namespace

UnfinishedFile::UnfinishedFile(fs::path place) : place_(std::move(place)) {
  while (!create()) {
  }
}

// False if another process took the file for an abandoned one, before it was locked.
bool UnfinishedFile::create() {
  beside_ = place_;
  beside_ += fmt::format(".{:016x}{}", draw_name(), kExtension);
  file_ = ::open(beside_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (file_ < 0) fail();
  struct stat status = {};
  const bool locked = ::flock(file_, LOCK_EX) == 0;
  if (!locked || ::fstat(file_, &status) != 0 || status.st_nlink > 0) return true;
  ::close(file_);
  file_ = -1;
  return false;
}

UnfinishedFile::~UnfinishedFile() {
  if (!finished_) ::unlink(beside_.c_str());
  ::close(file_);  // and gives the lock back, only now
}

void UnfinishedFile::append(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(file_, bytes.data(), bytes.size());
    if (written < 0 && errno != EINTR) fail();
    if (written > 0) bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
}

void UnfinishedFile::finish() {
  if (::rename(beside_.c_str(), place_.c_str()) != 0) fail();
  finished_ = true;
}

void UnfinishedFile::fail() const {
  throw fs::filesystem_error("cannot write", beside_, {errno, std::generic_category()});
}

void remove_abandoned(const fs::path &folder) {
  std::error_code gone;
  for (const fs::directory_entry &entry : fs::directory_iterator(folder, gone)) {
    if (entry.path().extension() != UnfinishedFile::kExtension) continue;
    // For writing: network file systems give such locks for nothing less.
    const int file = ::open(entry.path().c_str(), O_RDWR | O_CLOEXEC | O_NONBLOCK);
    if (file < 0) continue;
    if (::flock(file, LOCK_EX | LOCK_NB) == 0) ::unlink(entry.path().c_str());
    ::close(file);
  }
}

}  // namespace vase::engine
