// A bump allocator over the caller's workspace: no allocation while an eviction runs.
#ifndef VASE_CORE_ARENA_HPP
#define VASE_CORE_ARENA_HPP

#include <cstddef>
#include <cstdint>
#include <exception>
#include <span>

namespace vase {

/// More was taken than the workspace holds: a bug of ours, since bytes_of sized it.
class ArenaFull final : public std::exception {
 public:
  const char* what() const noexcept override { return "workspace too small"; }
};

class Arena {
 public:
  /// Every block starts on a cache line, so that SIMD loads of it are aligned.
  static constexpr size_t kAlignment = 64;

  Arena(void* memory, size_t bytes)
      : next_(align(reinterpret_cast<uintptr_t>(memory))),
        end_(reinterpret_cast<uintptr_t>(memory) + bytes) {}

  /// `count` uninitialised elements, valid as long as the workspace. Throws ArenaFull rather than
  /// write behind it.
  template <typename T>
  std::span<T> take(size_t count) {
    const uintptr_t end = next_ + count * sizeof(T);
    if (end > end_) throw ArenaFull();
    T* first = reinterpret_cast<T*>(next_);
    next_ = align(end);
    return {first, count};
  }

  /// What take<T>(count) uses of the workspace.
  template <typename T>
  static constexpr size_t bytes_of(size_t count) {
    return (count * sizeof(T) + kAlignment - 1) / kAlignment * kAlignment;
  }

 private:
  static constexpr uintptr_t align(uintptr_t address) {
    return (address + kAlignment - 1) / kAlignment * kAlignment;
  }

  uintptr_t next_;
  uintptr_t end_;
};

}  // namespace vase

#endif
