"""What was measured in pairs: rates, so that what else the machine does meets both of a pair, and answers to the same questions."""

import math
import random
import statistics

RESAMPLES = 10000


def ratio(rates, others):
    """Geometric mean of the pairs' ratios, and its 95% interval (bootstrap over pairs, percentiles)."""
    logarithms = [math.log(a / b) for a, b in zip(rates, others, strict=True)]
    draws = random.Random(1)
    means = sorted(statistics.mean(draws.choices(logarithms, k=len(logarithms))) for _ in range(RESAMPLES))
    low, high = means[RESAMPLES * 25 // 1000], means[RESAMPLES * 975 // 1000 - 1]
    return math.exp(statistics.mean(logarithms)), math.exp(low), math.exp(high)


def difference(pairs):
    """Right answers of (one, other) to the same questions: how many more one has, in points, and the 95% interval (as above)."""
    points = [100 * (one - other) for one, other in pairs]
    draws = random.Random(1)
    means = sorted(statistics.fmean(draws.choices(points, k=len(points))) for _ in range(RESAMPLES))
    return statistics.fmean(points), means[RESAMPLES * 25 // 1000], means[RESAMPLES * 975 // 1000 - 1]


def binomial(one, other):
    """p of McNemar's exact test: so many pairs are right on one side only, and so many on the other."""
    differ = one + other
    return min(1.0, 2 * sum(math.comb(differ, k) for k in range(min(one, other) + 1)) / 2**differ)
