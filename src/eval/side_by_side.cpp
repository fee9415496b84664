#include "eval/side_by_side.hpp"

#include <thread>
#include <vector>

#include "vase/llama.hpp"

namespace vase::eval {

bool SideBySide::run(std::size_t parts, std::int32_t threads, const Work &work) {
  next_ = 0;
  {
    std::vector<std::jthread> all;
    for (std::int32_t i = 0; i < threads; ++i)
      all.emplace_back([&, parts] { take_parts(parts, work); });
  }
  if (error_) std::rethrow_exception(error_);
  return !stopped_;
}

// In a thread of its own: nothing is thrown.
void SideBySide::take_parts(std::size_t parts, const Work &work) {
  Lock lock(mutex_);
  try {
    while (next_ < parts && !stopped_) {
      work(next_++, lock);
      if (!lock.owns_lock()) lock.lock();
    }
  } catch (const Stopped &) {
    if (!lock.owns_lock()) lock.lock();
    stopped_ = true;
  } catch (...) {
    if (!lock.owns_lock()) lock.lock();
    if (!error_) error_ = std::current_exception();
    stopped_ = true;
  }
}

}  // namespace vase::eval
