"""--reasoning-budget, and what requests say about it."""

import pytest

END = "</think>"


def write(server, prompt="abc<think>", **fields):
    fields = {"max_tokens": 60, "temperature": 1.5, "seed": 7, **fields}
    answer = server.complete(prompt, **fields)
    return answer["choices"][0]["text"], answer


def test_a_request_bounds_its_thought(server):
    free, answer = write(server)
    assert END not in free and answer["vase"]["choices"][0]["thoughts_cut"] == 0
    for name in ("reasoning_budget_tokens", "thinking_budget_tokens"):
        text, answer = write(server, **{name: 20, "reasoning_budget_message": "Stop."})
        assert "Stop." + END in text
        assert text.split("Stop." + END)[0] == free[: text.index("Stop." + END)]
        assert answer["vase"]["choices"][0]["thoughts_cut"] == 1
        assert answer["usage"]["completion_tokens"] == 60
    assert write(server, reasoning_budget_tokens=0)[0].startswith(END)
    assert write(server, reasoning_budget_tokens=-1)[0] == free
    assert write(server, prompt="abc", reasoning_budget_tokens=0) != free


def test_the_server_bounds_thoughts_of_requests_that_do_not_say(start):
    server = start("--reasoning-budget", 20, "--reasoning-budget-message", "So:")
    assert "So:" + END in write(server)[0]
    assert "So:" + END in write(server, reasoning_budget_tokens=30)[0]
    text = write(server, reasoning_budget_message="Then:")[0]
    assert "Then:" + END in text
    # An answer that is shorter than the server's budget is no mistake of the client.
    assert END not in write(server, max_tokens=5)[0]


@pytest.mark.parametrize(
    "fields, words",
    [
        ({"reasoning_budget_tokens": 60}, "is 60, and leaves nothing of the 60 tokens"),
        ({"reasoning_budget_tokens": -2}, "-1"),
        ({"thinking_budget_tokens": "long"}, "integer"),
        ({"reasoning_budget_message": 5}, "string"),
    ],
)
def test_bad_budgets_are_refused(server, fields, words):
    status, error = server.refused(
        "/v1/completions", {"prompt": "abc", "max_tokens": 60, **fields}
    )
    assert status == 400
    assert error["param"] == next(iter(fields))
    assert words in error["message"] and "\n" not in error["message"]
