"""Grades sampled texts in processes beside the sampling, and sums up what came out."""

import multiprocessing
import threading
import time
from collections import defaultdict

from . import grading
from .boxes import last_boxed
from .loops import ends_in_loop


NO_VERDICT = (None, None, False)


def judged(question, text):
    """(answer, how it is written in the box, right or not) of a text."""
    answer = grading.answer_in(question, text)
    boxed = last_boxed(grading.after_thought(text))
    right = answer is not None and grading.is_right(question, text)
    return answer, boxed if boxed is not None else answer, right


class Judges:
    """A pool of graders. Make it before the device is touched: its processes are forks."""

    def __init__(self, processes):
        grading._math_verify()
        self.pool = multiprocessing.get_context("fork").Pool(processes)
        self.waiting = []

    def judge(self, question, ids, text, line, write):
        """Fills `line` with the verdict and gives it to `write` (in another thread)."""

        first = threading.Lock()  # a line is written once, by the verdict or by settle()

        def done(verdict):
            if not first.acquire(blocking=False):
                return
            line.update(zip(("answer", "boxed", "right"), verdict))
            write(line)

        line["loop"] = line["status"] == "loop" or (
            line["status"] == "limit" and ends_in_loop(ids)
        )
        self.waiting.append(
            (self.pool.apply_async(judged, (question, text), callback=done, error_callback=lambda _: done(NO_VERDICT)), done)
        )

    def settle(self, seconds=30):
        """Waits until all that was handed in is judged. What is not after so many seconds is written as not right, so that
        all ranks read the same lines from here on."""
        until = time.time() + seconds
        for result, done in self.waiting:
            result.wait(max(0.0, until - time.time()))
            if not result.ready():
                done(NO_VERDICT)
        self.waiting = []

    def close(self):
        """Ends the processes."""
        self.pool.terminate()
        self.pool.join()


def summary(lines):
    """By set and over all: how many were begun, which shares of those that were not cut off by the
    clock ended, were right, looped, hit the limit, and the mean length in tokens of what ended."""
    groups = defaultdict(list)
    for line in lines:
        groups[line["set"]].append(line)
        groups["all"].append(line)
    result = {}
    for name, group in sorted(groups.items()):
        whole = [line for line in group if line["status"] != "cut"]
        ended = [line for line in whole if line["status"] == "ended"]
        share = lambda what: round(100 * sum(map(what, whole)) / max(1, len(whole)), 1)  # noqa: E731
        result[name] = {
            "begun": len(group),
            "cut": len(group) - len(whole),
            "ended": share(lambda line: line["status"] == "ended"),
            "right": share(lambda line: line["right"]),
            "loops": share(lambda line: line["loop"]),
            "limit": share(lambda line: line["status"] == "limit" and not line["loop"]),
            "tokens": round(sum(line["tokens"] for line in ended) / max(1, len(ended))),
        }
    return result


def hopeless(sets, right=5, enough=20):
    """The sets of a summary of which less than `right` percent were right, of `enough` or more that the
    clock did not cut off: what is written about them is mostly thrown away."""
    return {
        name
        for name, numbers in sets.items()
        if name != "all" and numbers["begun"] - numbers["cut"] >= enough and numbers["right"] < right
    }
