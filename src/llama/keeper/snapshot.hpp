// A sequence put aside as bytes, and taken back: a bounded sequence is small, whatever its length.
#ifndef VASE_LLAMA_KEEPER_SNAPSHOT_HPP
#define VASE_LLAMA_KEEPER_SNAPSHOT_HPP

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "llama.h"
#include "llama/keeper/keeper.hpp"

namespace vase {

/// Bytes of snapshot(): its header, what the keeper knows, and llama.cpp's state of the sequence.
size_t snapshot_size(llama_context *context, const Keeper &keeper, int32_t sequence);

/// Writes a sequence to `bytes`, which holds snapshot_size() of them. The context must be idle.
/// Versioned, with a checksum. Throws Error if llama.cpp does not give its state.
void take_snapshot(llama_context *context, const Keeper &keeper, int32_t sequence,
                   std::span<std::byte> bytes);

/// The sequence becomes what `bytes` hold: it may be another one, of another context of the same
/// model with the same cache types. Which cells llama.cpp puts the rows into is read off the cache,
/// so sums over rows may round differently from then on. Throws Error if the bytes are damaged, no
/// snapshot, or do not fit; the sequence is as it was then, or empty if llama.cpp had begun.
void restore_snapshot(llama_context *context, Keeper &keeper, int32_t sequence,
                      std::span<const std::byte> bytes);

/// How long the snapshot is that `bytes` begin with. Throws Error if they do not.
size_t snapshot_bytes(std::span<const std::byte> bytes);

}  // namespace vase

#endif
