// The text format of Prometheus.
#pragma once

#include <fmt/format.h>

#include <string>

namespace vase::observe {

/// The two lines before a metric's values. `type`: "counter", "gauge" or "histogram".
inline std::string metric_head(const std::string &name, const char *type, const std::string &help) {
  return fmt::format("# HELP {0} {2}\n# TYPE {0} {1}\n", name, type, help);
}

/// A metric of one value, without labels.
template <typename Number>
std::string metric(const char *name, const char *type, const char *help, Number value) {
  return metric_head(name, type, help) + fmt::format("{} {}\n", name, value);
}

}  // namespace vase::observe
