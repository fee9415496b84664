"""What was measured in pairs: rates, so that what else the machine does meets both of a pair, and answers to the same questions."""

import math
import random
import statistics

RESAMPLES = 10000


def mean_of(values):
    """The mean of what was found in each pair, and its 95% interval (bootstrap over pairs, percentiles)."""
    draws = random.Random(1)
    means = sorted(statistics.fmean(draws.choices(values, k=len(values))) for _ in range(RESAMPLES))
    return statistics.fmean(values), means[RESAMPLES * 25 // 1000], means[RESAMPLES * 975 // 1000 - 1]


def ratio(rates, others):
    """Geometric mean of the pairs' ratios, and its 95% interval."""
    mean, low, high = mean_of([math.log(a / b) for a, b in zip(rates, others, strict=True)])
    return math.exp(mean), math.exp(low), math.exp(high)


def difference(pairs):
    """Right answers of (one, other) to the same questions: how many more one has, in points, and its 95% interval."""
    return mean_of([100 * (one - other) for one, other in pairs])


def binomial(one, other):
    """p of McNemar's exact test: so many pairs are right on one side only, and so many on the other."""
    differ = one + other
    return min(1.0, 2 * sum(math.comb(differ, k) for k in range(min(one, other) + 1)) / 2**differ)
