// Files that were put into the program when it was built: the web page and the OpenAPI document.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace vase::server {

struct Asset {
  std::string_view path;  ///< "/index.html"
  std::string_view etag;  ///< with its quotes
  std::string_view content;
};

std::span<const Asset> web_page();
std::span<const Asset> api_documents();

/// By the file's ending.
std::string content_type(std::string_view path);

}  // namespace vase::server
