#include "server/fields.hpp"

#include <fmt/format.h>

#include <cmath>
#include <utility>

#include "server/error.hpp"

namespace vase::server {
namespace {

ApiError wrong_type(const std::string &path, const char *wanted, const Json &got) {
  return invalid_field(path, fmt::format("must be {}, not {}", wanted, got.type_name()),
                       "invalid_type");
}

bool is_fraction(const Json &value) {
  return value.is_number_float() && value.get<double>() != std::floor(value.get<double>());
}

// The value of a whole number, however it is written (3 and 3.0); nullopt if it is larger than any
// that is meant.
std::optional<std::int64_t> as_whole(const Json &value) {
  constexpr double kExact = 9007199254740992.0;  // 2^53
  if (value.is_number_unsigned()) {
    const auto number = value.get<std::uint64_t>();
    if (number > static_cast<std::uint64_t>(INT64_MAX)) return std::nullopt;
    return static_cast<std::int64_t>(number);
  }
  if (value.is_number_integer()) return value.get<std::int64_t>();
  const double number = value.get<double>();
  if (std::abs(number) > kExact) return std::nullopt;
  return static_cast<std::int64_t>(number);
}

}  // namespace

std::string text_of(const Json &value, const std::string &path) {
  if (!value.is_string()) throw wrong_type(path, "a string", value);
  auto text = value.get<std::string>();
  if (text.find('\0') != text.npos) throw invalid_field(path, "must not contain U+0000");
  return text;
}

std::int64_t integer_of(const Json &value, const std::string &path, std::int64_t low,
                        std::int64_t high) {
  if (!value.is_number()) throw wrong_type(path, "an integer", value);
  if (is_fraction(value)) {
    throw invalid_field(path, "must be an integer, not a fraction", "invalid_type");
  }
  const std::optional<std::int64_t> number = as_whole(value);
  if (!number || *number < low || *number > high) {
    throw invalid_field(path, fmt::format("must be from {} to {}, not {}", low, high, value.dump()),
                        "out_of_range");
  }
  return *number;
}

Fields::Fields(const Json &object, std::string path) : object_(object), path_(std::move(path)) {
  if (!object.is_object()) {
    throw wrong_type(path_.empty() ? "request body" : path_, "an object", object);
  }
}

const Json *Fields::find(const char *name) const {
  const auto found = object_.find(name);
  return found == object_.end() || found->is_null() ? nullptr : &*found;
}

std::string Fields::path(const char *name) const {
  return path_.empty() ? name : fmt::format("{}.{}", path_, name);
}

std::optional<std::string> Fields::text(const char *name) const {
  const Json *value = find(name);
  if (value == nullptr) return std::nullopt;
  return text_of(*value, path(name));
}

std::optional<bool> Fields::flag(const char *name) const {
  const Json *value = find(name);
  if (value == nullptr) return std::nullopt;
  if (!value->is_boolean()) throw wrong_type(path(name), "true or false", *value);
  return value->get<bool>();
}

std::optional<std::int64_t> Fields::integer(const char *name, std::int64_t low,
                                            std::int64_t high) const {
  const Json *value = find(name);
  if (value == nullptr) return std::nullopt;
  return integer_of(*value, path(name), low, high);
}

std::optional<double> Fields::number(const char *name, double low, double high) const {
  const Json *value = find(name);
  if (value == nullptr) return std::nullopt;
  if (!value->is_number()) throw wrong_type(path(name), "a number", *value);
  const auto number = value->get<double>();
  if (!(number >= low && number <= high)) {
    throw invalid_field(path(name),
                        fmt::format("must be from {} to {}, not {}", low, high, value->dump()),
                        "out_of_range");
  }
  return number;
}

const Json *Fields::array(const char *name, std::size_t max_size) const {
  const Json *value = find(name);
  if (value == nullptr) return nullptr;
  if (!value->is_array()) throw wrong_type(path(name), "an array", *value);
  if (value->size() > max_size) {
    throw invalid_field(
        path(name), fmt::format("has {} elements, at most {} are allowed", value->size(), max_size),
        "out_of_range");
  }
  return value;
}

std::optional<Fields> Fields::object(const char *name) const {
  const Json *value = find(name);
  if (value == nullptr) return std::nullopt;
  return Fields(*value, path(name));
}

}  // namespace vase::server
