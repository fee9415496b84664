// A prompt cache that outlives its process, as files of a folder.
#pragma once

#include <condition_variable>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "engine/prompt_cache.hpp"

namespace vase::engine {

/// Called with a line about a file that is skipped, or cannot be written, and why.
using SayOfFile = std::function<void(const std::string &line)>;

/// Keeps a file for each prompt that is put aside, written by a thread of its own soon after it
/// was, so that a process which is killed loses little. What comes and goes before that is never
/// written.
class PromptCacheFiles {
 public:
  /// `identity`: of all that the bytes depend on and rules do not say (model, adapters, cache
  /// types); `say` may be called by another thread. Makes the folder if it is not there, and throws
  /// Error if that cannot be.
  PromptCacheFiles(std::filesystem::path folder, std::string identity, SayOfFile say);
  /// Writes what is still to be written.
  ~PromptCacheFiles();
  PromptCacheFiles(const PromptCacheFiles &) = delete;
  PromptCacheFiles &operator=(const PromptCacheFiles &) = delete;

  /// Takes in what is there for the same identity: the newest that fit, and only these are read
  /// whole. Files that are damaged, of another version or of another identity are skipped. Called
  /// once, before mirror().
  void read_into(PromptCache &cache);
  /// From now on the folder is to hold what `cache` holds. Does not wait for it.
  void mirror(const PromptCache &cache);

 private:
  using Held = std::vector<std::weak_ptr<const PutAside>>;

  void run();
  void write(const Held &held);

  std::filesystem::path folder_;
  std::string identity_;
  SayOfFile say_;
  std::set<std::filesystem::path> own_;  // files of this identity that are there, of write() alone

  std::mutex mutex_;
  std::condition_variable changed_;
  Held wanted_;
  bool pending_ = false;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace vase::engine
