// A checksum for what is put aside as bytes. It finds damage, not malice.
#ifndef VASE_CORE_CHECKSUM_HPP
#define VASE_CORE_CHECKSUM_HPP

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

namespace vase {

/// FNV-1a over words of eight bytes.
inline uint64_t checksum_of(std::span<const std::byte> bytes) {
  uint64_t hash = 0xcbf29ce484222325U;
  const auto add = [&](uint64_t word) { hash = (hash ^ word) * 0x100000001b3U; };
  size_t at = 0;
  for (; at + sizeof(uint64_t) <= bytes.size(); at += sizeof(uint64_t)) {
    uint64_t word = 0;
    std::memcpy(&word, bytes.data() + at, sizeof(word));
    add(word);
    hash ^= hash >> 29U;
  }
  for (; at < bytes.size(); ++at) add(static_cast<uint64_t>(bytes[at]));
  return hash;
}

}  // namespace vase

#endif
