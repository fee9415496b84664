#include "cli/units.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cmath>

#include "vase/llama.hpp"

namespace vase::cli {
namespace {

constexpr std::string_view kPrefixes = "kmgt";

// "", "B", "K", "KB", "KiB", ... in any case -> how many bytes; 0 if it is no unit.
double unit_bytes(std::string unit) {
  std::transform(unit.begin(), unit.end(), unit.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  if (unit.empty() || unit == "b") return 1;
  const auto power = kPrefixes.find(unit[0]);
  if (power == kPrefixes.npos) return 0;
  const std::string rest = unit.substr(1);
  const auto exponent = static_cast<double>(power + 1);
  if (rest.empty() || rest == "ib") return std::pow(1024.0, exponent);
  return rest == "b" ? std::pow(1000.0, exponent) : 0;
}

}  // namespace

std::string with_commas(std::int64_t number) {
  std::string text = std::to_string(number);
  const std::ptrdiff_t first = number < 0 ? 2 : 1;
  for (std::ptrdiff_t at = std::ssize(text) - 3; at >= first; at -= 3) {
    text.insert(static_cast<std::size_t>(at), 1, ',');
  }
  return text;
}

std::string format_bytes(std::uint64_t bytes) {
  constexpr std::array<const char *, 5> kUnits = {"B", "KiB", "MiB", "GiB", "TiB"};
  auto value = static_cast<double>(bytes);
  std::size_t unit = 0;
  while (value >= 1024 && unit + 1 < kUnits.size()) {
    value /= 1024;
    ++unit;
  }
  return unit == 0 ? fmt::format("{} B", bytes) : fmt::format("{:.1f} {}", value, kUnits[unit]);
}

std::uint64_t parse_bytes(std::string_view text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  std::string_view unit = text.substr(static_cast<std::size_t>(end - text.data()));
  while (unit.starts_with(' ')) unit.remove_prefix(1);
  const double bytes = value * unit_bytes(std::string(unit));
  if (error != std::errc{} || !(bytes >= 1 && bytes < 1e18)) {
    throw Error(fmt::format("\"{}\" is not a size: write 8GiB, 512MiB, ...", text));
  }
  return static_cast<std::uint64_t>(bytes);
}

}  // namespace vase::cli
