"""Verdicts that come in time, and one that does not."""

import time

from natural import judge


def slow_verdict(question, text):
    time.sleep(question["takes"])
    return text, text, True


def test_each_line_is_written_once_also_if_its_verdict_is_late(monkeypatch):
    monkeypatch.setattr(judge.grading, "_math_verify", lambda: None)
    monkeypatch.setattr(judge, "judged", slow_verdict)
    written = []
    judges = judge.Judges(2)
    try:
        for name, takes in (("quick", 0), ("late", 2)):
            judges.judge({"takes": takes}, [1, 2], "14", {"id": name, "status": "ended"}, written.append)
        judges.settle(seconds=0.5)
        at_once = [(line["id"], line["answer"], line["right"]) for line in written]
        assert sorted(at_once) == [("late", None, False), ("quick", "14", True)]
        time.sleep(2.5)  # the late verdict has come
        assert len(written) == 2
    finally:
        judges.close()
