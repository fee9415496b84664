// A prompt cache that outlives its process, as files of a folder.
#pragma once

#include <filesystem>
#include <functional>
#include <string>

#include "engine/prompt_cache.hpp"

namespace vase::engine {

/// Called with a line about a file that is skipped, or cannot be written, and why.
using SayOfFile = std::function<void(const std::string &line)>;

/// Writes all that is in `cache` to `folder`, a file each, and deletes the files that an earlier
/// call left there and that are not in it any more. `identity`: of all that the bytes depend on and
/// rules do not say (model, adapters, cache types).
void write_prompt_cache(const PromptCache &cache, const std::filesystem::path &folder,
                        const std::string &identity, const SayOfFile &say);

/// Takes in what write_prompt_cache() has written for the same identity, the newest that fit. Makes
/// the folder if it is not there. Throws Error if that cannot be; files that are damaged, of
/// another version or of another identity are skipped.
void read_prompt_cache(PromptCache &cache, const std::filesystem::path &folder,
                       const std::string &identity, const SayOfFile &say);

}  // namespace vase::engine
