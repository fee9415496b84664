// A mutex that a thread which takes it again and again cannot keep for itself.
#pragma once

#include <mutex>

namespace vase::interpose {

/// Who waits for it is next: while one waits, the others wait for that one. For two threads.
class FairMutex {
 public:
  void lock() {
    const std::lock_guard turn(turn_);
    held_.lock();
  }
  void unlock() { held_.unlock(); }

 private:
  std::mutex turn_;
  std::mutex held_;
};

}  // namespace vase::interpose
