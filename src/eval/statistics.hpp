// How sure a share is, and whether one policy is better than another on the same questions.
#pragma once

#include <cstdint>
#include <span>

namespace vase::eval {

struct Interval {
  double low = 0;
  double high = 0;
};

/// The 95% interval of a mean: percentile bootstrap over `values`, one value a question (Efron
/// 1979), 2,000 resamples from a fixed seed. `values` must not be empty.
Interval bootstrap_interval(std::span<const double> values);

/// The 95% interval of a mean over all answers where groups of them depend on each other, as those
/// to one text do: the groups are resampled, each with the sum of its answers and their count, and
/// the sums' total is divided by the counts' (the ratio estimator of cluster samples, Cochran 1977,
/// chapter 9). Both spans have one element a group, at least one; counts are above 0.
Interval bootstrap_interval(std::span<const double> sums, std::span<const double> counts);

/// The 95% interval of a share of `right` in `total` (Wilson 1927). Unlike the bootstrap it has a
/// width if all or none are right.
Interval wilson_interval(double right, double total);

/// Two-sided p-value of the exact McNemar test: `only_first` and `only_second` are the questions
/// that one of both alone got right; under the null hypothesis either is as likely.
double mcnemar_exact(std::int64_t only_first, std::int64_t only_second);

/// Two-sided p-value of a paired permutation test (Fisher's sign-flip test) over `differences`, one
/// a prompt, or sums of them, one a group: under the null hypothesis each is as likely with the
/// other sign. 10,000 draws from a fixed seed; 1 if there are none or all are 0.
double sign_flip_test(std::span<const double> differences);

}  // namespace vase::eval
