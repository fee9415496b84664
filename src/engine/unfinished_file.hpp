// A file of a folder that several processes share: whole, or not there.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>

namespace vase::engine {

/// Writes a file beside its place, under a name that no other has, and moves it there when it is
/// whole. Meanwhile it is locked, so that others can tell it from what a killed process left.
class UnfinishedFile {
 public:
  static constexpr const char *kExtension = ".vase-part";

  /// `place`: where it is to be. Throws std::filesystem::filesystem_error if nothing can be written
  /// there, as the other functions do.
  explicit UnfinishedFile(std::filesystem::path place);
  /// Removes it if it was not finished.
  ~UnfinishedFile();
  UnfinishedFile(const UnfinishedFile &) = delete;
  UnfinishedFile &operator=(const UnfinishedFile &) = delete;

  void append(std::span<const std::byte> bytes);
  /// Moves it to its place, over what is there. Nothing is called after it.
  void finish();

 private:
  bool create();
  [[noreturn]] void fail() const;

  std::filesystem::path place_;
  std::filesystem::path beside_;
  int file_ = -1;
  bool finished_ = false;
};

/// Removes the unfinished files of `folder` that no living process writes. What it may not look at,
/// or where the file system knows no locks, stays.
void remove_abandoned(const std::filesystem::path &folder);

}  // namespace vase::engine
