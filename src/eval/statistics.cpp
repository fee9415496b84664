#include "eval/statistics.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include "tasks/random.hpp"

namespace vase::eval {
namespace {

constexpr int kResamples = 2000;
constexpr std::uint64_t kSeed = 2606;
constexpr double kNormal95 = 1.959963984540054;

// The value below which a share of the sorted `values` lies, interpolated.
double quantile(const std::vector<double> &values, double share) {
  const double at = share * static_cast<double>(values.size() - 1);
  const auto below = static_cast<std::size_t>(at);
  const std::size_t above = std::min(below + 1, values.size() - 1);
  return values[below] + (at - static_cast<double>(below)) * (values[above] - values[below]);
}

}  // namespace

Interval bootstrap_interval(std::span<const double> values) {
  return bootstrap_interval(values, std::vector<double>(values.size(), 1.0));
}

Interval bootstrap_interval(std::span<const double> sums, std::span<const double> counts) {
  tasks::Rng random(kSeed);
  std::vector<double> means;
  for (int i = 0; i < kResamples; ++i) {
    double sum = 0;
    double count = 0;
    for (std::size_t j = 0; j < sums.size(); ++j) {
      const std::size_t drawn = random.next() % sums.size();
      sum += sums[drawn];
      count += counts[drawn];
    }
    means.push_back(sum / count);
  }
  std::ranges::sort(means);
  return {quantile(means, 0.025), quantile(means, 0.975)};
}

Interval wilson_interval(double right, double total) {
  const double z2 = kNormal95 * kNormal95;
  const double share = right / total;
  const double centre = (share + z2 / (2 * total)) / (1 + z2 / total);
  const double half = kNormal95 / (1 + z2 / total) *
                      std::sqrt(share * (1 - share) / total + z2 / (4 * total * total));
  return {std::max(0.0, centre - half), std::min(1.0, centre + half)};
}

double sign_flip_test(std::span<const double> differences) {
  constexpr int kDraws = 10000;
  double observed = 0;
  for (const double difference : differences) observed += difference;
  observed = std::abs(observed);
  tasks::Rng random(kSeed);
  int as_far = 0;
  for (int i = 0; i < kDraws; ++i) {
    double sum = 0;
    for (std::size_t j = 0; j < differences.size(); j += 64) {
      std::uint64_t signs = random.next();
      for (std::size_t k = j; k < std::min(j + 64, differences.size()); ++k, signs >>= 1U) {
        sum += (signs & 1U) != 0 ? differences[k] : -differences[k];
      }
    }
    if (std::abs(sum) >= observed - 1e-9) ++as_far;
  }
  return (as_far + 1.0) / (kDraws + 1.0);  // what was observed is one of the possible draws
}

double mcnemar_exact(std::int64_t only_first, std::int64_t only_second) {
  const std::int64_t n = only_first + only_second;
  const std::int64_t k = std::min(only_first, only_second);
  if (n == 0) return 1;
  // Binomial tail with logarithms of factorials: n may be thousands.
  const auto nd = static_cast<double>(n);
  double tail = 0;
  for (std::int64_t i = 0; i <= k; ++i) {
    const auto id = static_cast<double>(i);
    tail += std::exp(std::lgamma(nd + 1) - std::lgamma(id + 1) - std::lgamma(nd - id + 1) -
                     nd * std::log(2.0));
  }
  return std::min(1.0, 2 * tail);
}

}  // namespace vase::eval
