#include "server/token_text.hpp"

#include <fmt/format.h>

#include "engine/utf8.hpp"

namespace vase::server {

std::string spelled_bytes(std::string_view bytes) {
  std::string text;
  for (const char c : bytes) text += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
  return text;
}

std::string token_text(const std::string &piece, const std::string &bytes_prefix) {
  return engine::find_invalid_utf8(piece) ? bytes_prefix + spelled_bytes(piece) : piece;
}

}  // namespace vase::server
