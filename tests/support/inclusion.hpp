// A statistical test of two sets of draws.
#ifndef VASE_TESTS_SUPPORT_INCLUSION_HPP
#define VASE_TESTS_SUPPORT_INCLUSION_HPP

#include <cmath>
#include <cstddef>
#include <span>

namespace vase::testing {

/// Chi-square of the difference between how often each row was kept in two experiments of `draws`
/// draws each. Under the hypothesis that both draw alike, each term has mean 1; the terms of one
/// head are slightly dependent (the counts add up), which makes the statistic smaller, not larger.
struct InclusionTest {
  double chi2 = 0;
  int rows = 0;  ///< rows at stake: kept sometimes, not always

  /// a, b: shares of the draws that kept each row.
  void add(std::span<const double> a, std::span<const double> b, int draws) {
    for (size_t i = 0; i < a.size(); ++i) {
      const double p = (a[i] + b[i]) / 2;
      if (p <= 0 || p >= 1) continue;
      chi2 += (a[i] - b[i]) * (a[i] - b[i]) / (2 * p * (1 - p) / draws);
      ++rows;
    }
  }

  /// Mean plus five standard deviations: exceeded once in some millions if both draw alike.
  double limit() const { return rows + 5 * std::sqrt(2.0 * rows); }
};

}  // namespace vase::testing

#endif
