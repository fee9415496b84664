// A prompt cache that outlives its process, as files of a folder.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "engine/prompt_cache.hpp"

namespace vase::engine {

/// Called with a line about a file that is skipped, or cannot be written, and why.
using SayOfFile = std::function<void(const std::string &line)>;

/// Bytes of the files of prompts in a folder; 0 if it cannot be read.
std::uint64_t prompt_bytes_in(const std::filesystem::path &folder);

/// Writes a file for each prompt that is put aside, by a thread of its own soon after it was, so
/// that a process which is killed loses little. What comes and goes before that is never written.
/// A file stays when its prompt is let go of: the folder has a limit of its own, and what no
/// process has used longest goes first. Several processes may share it, also for different models.
class PromptCacheFiles {
 public:
  /// `identity`: of all that the bytes depend on and rules do not say (model, adapters, cache
  /// types); `limit_bytes`: of all files of the folder; `say` may be called by another thread.
  /// Makes the folder if it is not there, and throws Error if that cannot be. What processes that
  /// were killed left half written there is removed.
  PromptCacheFiles(std::filesystem::path folder, std::string identity, std::uint64_t limit_bytes,
                   SayOfFile say);
  /// Writes what is still to be written.
  ~PromptCacheFiles();
  PromptCacheFiles(const PromptCacheFiles &) = delete;
  PromptCacheFiles &operator=(const PromptCacheFiles &) = delete;

  /// Takes in what is there for the same identity: the newest that fit, and only these are read
  /// whole. Files that are damaged, of another version or of another identity are skipped. Called
  /// once, before keep().
  void read_into(PromptCache &cache);
  /// The folder is to hold what `cache` holds now, too. Does not wait for it.
  void keep(const PromptCache &cache);

 private:
  using Held = std::vector<std::weak_ptr<const PutAside>>;

  void run();
  void write(const Held &held);
  void make_room() const;

  std::filesystem::path folder_;
  std::string identity_;
  std::uint64_t limit_;
  SayOfFile say_;
  // What files were written from, or read into. Of write() alone, once its thread has begun.
  std::map<std::filesystem::path, std::weak_ptr<const PutAside>> written_;

  std::mutex mutex_;
  std::condition_variable changed_;
  Held wanted_;
  bool pending_ = false;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace vase::engine
