// Is it the same file as before?
#pragma once

#include <filesystem>
#include <string>

namespace vase::eval {

/// A short name for a file's content: its size and a hash over its first and last 4 MiB. Files of
/// many gigabytes are not read whole; metadata, tensor shapes and the last tensors are in it.
/// Throws Error if the file cannot be read.
std::string fingerprint(const std::filesystem::path &path);

}  // namespace vase::eval
