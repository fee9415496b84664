// Structs of callers that were compiled with another version of the header. Fields are only ever
// added at the end, so `size`, which comes first, says which of them are there.
#ifndef VASE_CAPI_VERSIONED_HPP
#define VASE_CAPI_VERSIONED_HPP

#include <algorithm>
#include <cstddef>
#include <cstring>

#include "capi/check.hpp"

namespace vase {

/// What no struct of ours will ever need: a `size` above it was not set.
inline constexpr size_t kMostStructBytes = 4096;

/// Reads a struct `given` into `out`, which holds what stands for fields that it lacks. `name` and
/// `type` are for messages. `least`: bytes that it must have. Fails if `size` was not set, or if
/// something is set that this version knows nothing of.
template <typename T>
vase_status read_versioned(const char* name, const char* type, const void* given, size_t least,
                           T& out) {
  size_t size = 0;
  std::memcpy(&size, given, sizeof size);
  if (size < least || size > kMostStructBytes)
    return fail(VASE_INVALID_ARGUMENT, "%s.size is %zu; set it to sizeof(%s), %zu in version %s",
                name, size, type, sizeof(T), VASE_VERSION);
  const auto* bytes = static_cast<const unsigned char*>(given);
  std::memcpy(static_cast<void*>(&out), bytes, std::min(size, sizeof(T)));
  out.size = sizeof(T);
  for (size_t at = sizeof(T); at < size; ++at)
    if (bytes[at] != 0)
      return fail(
          VASE_INVALID_ARGUMENT,
          "%s has something set in byte %zu of its %zu, of which version %s of libvase knows "
          "%zu: leave new fields 0, or take the libvase that goes with the header",
          name, at, size, VASE_VERSION, sizeof(T));
  return VASE_OK;
}

/// Writes `value` to a struct of `size` bytes of a caller, as much of it as that holds; what it has
/// beyond becomes 0. `name` is for the message.
template <typename T>
vase_status write_versioned(const char* name, const T& value, size_t size, void* to) {
  if (size < sizeof value.size || size > kMostStructBytes)
    return fail(VASE_INVALID_ARGUMENT, "%s is %zu; it must be sizeof the struct, %zu in version %s",
                name, size, sizeof value, VASE_VERSION);
  std::memset(to, 0, size);
  std::memcpy(to, &value, std::min(size, sizeof value));
  return VASE_OK;
}

/// The structs of vase.h, of any version, as those of this one; checked for null and `size` alone.
vase_status read_params(const vase_params* given, vase_params& out);
vase_status read_layer(const vase_layer* given, vase_layer& out);

/// The bytes of a layer that must be there: up to n_rows.
inline constexpr size_t kLeastLayer = offsetof(vase_layer, n_rows) + sizeof(int32_t);

}  // namespace vase

#endif
