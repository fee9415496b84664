// Reads the fields of a JSON object, with errors that name the field.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "server/json.hpp"

namespace vase::server {

/// Absent and null are the same. All getters throw ApiError (400) if the field is there and has
/// another type or lies out of range.
class Fields {
 public:
  /// `path`: of the object itself, for the messages; "" for the request body. Throws ApiError if
  /// `object` is not one.
  Fields(const Json &object, std::string path);

  /// nullptr if absent or null.
  const Json *find(const char *name) const;
  std::string path(const char *name) const;

  std::optional<std::string> text(const char *name) const;
  std::optional<bool> flag(const char *name) const;
  std::optional<std::int64_t> integer(const char *name, std::int64_t low, std::int64_t high) const;
  std::optional<double> number(const char *name, double low, double high) const;
  const Json *array(const char *name, std::size_t max_size) const;
  std::optional<Fields> object(const char *name) const;

 private:
  const Json &object_;
  std::string path_;
};

/// The text of a JSON string without U+0000, which llama.cpp would take for its end.
std::string text_of(const Json &value, const std::string &path);
std::int64_t integer_of(const Json &value, const std::string &path, std::int64_t low,
                        std::int64_t high);

}  // namespace vase::server
