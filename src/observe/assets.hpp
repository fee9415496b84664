// Files that were put into the program when it was built.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace vase::observe {

struct Asset {
  std::string_view path;  ///< "/index.html"
  std::string_view etag;  ///< with its quotes
  std::string_view content;
};

std::span<const Asset> web_page();
/// The OpenAPI document; in vase serve alone.
std::span<const Asset> api_documents();

/// By the file's ending.
std::string content_type(std::string_view path);

}  // namespace vase::observe
