// Parts of some work done by threads, each part by one of them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <mutex>

namespace vase::eval {

class SideBySide {
 public:
  using Lock = std::unique_lock<std::mutex>;
  /// Does one part. `lock`: held, of one mutex for all parts; the work lets it go while it does
  /// what touches nothing that others use, and looks at stopped() when it has it again.
  using Work = std::function<void(std::size_t part, Lock &lock)>;

  /// Does parts 0 .. parts - 1, in their order as far as `threads` of them are not at work at once.
  /// A thread that is done takes the next part, so that those which wait for a long one do not keep
  /// the others from working. Returns false if the work was stopped, by stop() or by a Stopped that
  /// it threw; the first other exception stops all, and is thrown here.
  bool run(std::size_t parts, std::int32_t threads, const Work &work);

  /// With the lock held: from now on no part is begun, and those at work are to end.
  void stop() { stopped_ = true; }
  bool stopped() const { return stopped_; }

 private:
  void take_parts(std::size_t parts, const Work &work);

  std::mutex mutex_;  // held for all below
  std::size_t next_ = 0;
  bool stopped_ = false;
  std::exception_ptr error_;
};

}  // namespace vase::eval
