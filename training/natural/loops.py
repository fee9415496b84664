"""Repetition loops in a text that is still being written."""

import numpy as np


def ends_in_loop(ids, longest=1024, rounds=4, least=192, differences=0.05, probe=6):
    """Whether the end of `ids` repeats a block of up to `longest` tokens `rounds` times and over
    `least` tokens, but for a share of `differences`: the rule of `vase eval` (src/eval/repetition.hpp).
    Only periods at which the last `probe` tokens stood before are tried, which makes it cheap enough
    to ask of hundreds of texts again and again; a loop missed now is found at a later ask.
    """
    ids = np.asarray(ids[-rounds * longest :], dtype=np.int64)
    count = len(ids)
    if count < max(least, rounds + probe):
        return False
    windows = np.lib.stride_tricks.sliding_window_view(ids[:-1], probe)
    starts = np.flatnonzero((windows == ids[-probe:]).all(1))
    for period in (count - probe) - starts[::-1]:
        tail = max(rounds * int(period), least)
        if period > longest or tail > count:
            break
        same = ids[count - tail + period :] == ids[count - tail : count - period]
        if 1.0 - same.mean() <= differences:
            return True
    return False
