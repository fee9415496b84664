// Numbers as people read and write them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace vase::cli {

/// 12345 -> "12,345".
std::string with_commas(std::int64_t number);
/// 25165824 -> "24.0 MiB".
std::string format_bytes(std::uint64_t bytes);
/// "8GiB", "8G", "512 MiB", "1.5g" (powers of 1024), "8GB" (powers of 1000) or plain bytes. Throws
/// Error if it is none of these or not positive.
std::uint64_t parse_bytes(std::string_view text);

}  // namespace vase::cli
