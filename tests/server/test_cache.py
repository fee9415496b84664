"""The vase extension and the observatory's endpoints."""


def test_each_request_has_its_own_policy_budget_and_seed(server):
    request = {"prompt": "some prompt " * 10, "max_tokens": 200, "seed": 3}
    for policy in ("vase", "vase-plus", "vase-cur", "snapkv", "rkv", "streaming", "random"):
        report = server.complete(**request, vase={"policy": policy})["vase"]
        assert report["policy"] == policy
        assert report["budget"] == 128
        assert report["evictions"] > 0
    small = server.complete(**request, vase={"budget": 64, "pin_prompt": 0.25, "seed": 9})["vase"]
    assert (small["budget"], small["seed"], small["pin_prompt"]) == (64, 9, 0.25)
    assert 64 <= small["choices"][0]["rows"] < 64 + 33
    assert small["choices"][0]["tokens"] >= 319
    default = server.complete(**request)["vase"]
    assert (default["policy"], default["budget"]) == ("vase", 128)


def test_the_seed_of_the_draws_matters_and_repeats(server):
    def text(seed):
        answer = server.complete(prompt="p" * 300, max_tokens=150, temperature=0, vase={"seed": seed})
        return answer["choices"][0]["text"]

    assert text(1) == text(1)
    assert text(1) != text(2)


def test_status(server):
    server.complete(prompt="p" * 200, max_tokens=40)
    status = server.get("/vase/status")
    assert status["model"] == "tiny"
    assert (status["policy"], status["layers"], status["heads"]) == ("vase", 2, 2)
    assert len(status["slots"]) == 3
    used = max(status["slots"], key=lambda slot: slot["tokens"])
    assert used["state"] == "idle" and not used["busy"]
    assert used["tokens"] >= 239 and used["rows"] <= used["capacity"] and used["evictions"] > 0
    assert used["tokens_per_second"] > 0
    assert status["memory"]["full_cache"] > 0
    assert status["memory"]["resident"] > 0


def test_cache(server):
    server.complete(prompt="p" * 200, max_tokens=100)
    slot = max(server.get("/vase/status")["slots"], key=lambda slot: slot["tokens"])["id"]
    cache = server.get(f"/vase/cache?slot={slot}&layer=1&head=0")
    rows = cache["rows"]
    assert len(cache["positions"]) == len(cache["ranges"]) == len(cache["reasons"]) == rows
    assert cache["positions"] == sorted(set(cache["positions"]))
    assert cache["positions"][-1] == cache["tokens"] - 1
    assert cache["reasons"][:4] == ["sink"] * 4
    assert cache["positions"][:4] == [0, 1, 2, 3]
    assert cache["reasons"].count("protected") == 128 // 4 - 4
    assert cache["reasons"].count("recent") == rows - 128 + 32
    assert set(cache["reasons"]) == {"sink", "protected", "drawn", "recent"}
    assert all(value > 0 for value in cache["ranges"])
    by_reason = lambda reason: [r for r, why in zip(cache["ranges"], cache["reasons"]) if why == reason]
    assert min(by_reason("protected")) >= max(by_reason("drawn"))


def test_what_was_asked_last_is_pinned_and_what_was_asked_first_where_there_is_room(server):
    def pinned(first, newest):
        messages = [{"role": "user", "content": "f" * first}, {"role": "assistant", "content": "a" * 150},
                    {"role": "user", "content": "n" * newest}]
        body = {"messages": messages, "max_tokens": 60, "temperature": 0, "ignore_eos": True, "vase": {"pin_prompt": 0.8}}
        answer = server.post("/v1/chat/completions", body)
        slot = max(server.get("/vase/status")["slots"], key=lambda slot: slot["tokens"])["id"]
        cache = server.get(f"/vase/cache?slot={slot}&layer=0&head=0")
        rows = [p for p, why in zip(cache["positions"], cache["reasons"]) if why in ("pinned", "sink")]
        return rows, answer["usage"]["prompt_tokens"]

    rows, end = pinned(first=1, newest=5)
    newest = [row for row in rows if row > 100]
    assert newest == list(range(newest[0], end)) and newest[0] > 150
    assert len(newest) < 92, "what sinks and recency window leave of the budget, and the answer before it is not in it"
    with_first = len(rows) - len(newest)
    assert with_first > 4, "the sinks, and the first question"
    rows, end = pinned(first=70, newest=5)
    assert len([row for row in rows if row < 100]) == 4, "the first question does not fit as a whole"


def test_cache_of_a_slot_that_works(server):
    connection, response = server.open_stream(max_tokens=30000)
    before = server.get("/vase/cache?slot=0&layer=0&head=0")["tokens"]
    for _ in range(50):
        response.readline()
    slots = [server.get(f"/vase/cache?slot={i}&layer=0&head=0")["tokens"] for i in range(3)]
    connection.close()
    assert max(slots) > 0 and before >= 0


def test_cache_of_what_is_not_there(server):
    for query, field in (("slot=9&layer=0&head=0", "slot"), ("slot=0&layer=2&head=0", "layer"),
                         ("slot=0&layer=0&head=-1", "head"), ("", "slot"), ("slot=0&layer=x&head=0", "layer")):
        status, _, text = server.request("GET", f"/vase/cache?{query}")
        assert status == 400 and f'"param":"{field}"' in text


def test_a_server_without_queries_refuses_policies_that_need_them(start):
    server = start("--policy", "vase-cur")
    status, error = server.refused("/v1/completions", {"prompt": "a", "vase": {"policy": "vase"}})
    assert (status, error["param"]) == (400, "vase.policy")
    assert server.complete(max_tokens=200, vase={"policy": "random"})["vase"]["evictions"] > 0
    # What it says that it offers, it takes; what it does not, it refuses.
    policies = server.get("/vase/policies")["policies"]
    assert {"vase", "vase-cur", "full"} <= {policy["name"] for policy in policies}
    for policy in policies:
        request = {"prompt": "a", "max_tokens": 1, "vase": {"policy": policy["name"]}}
        status, _, text = server.request("POST", "/v1/completions", request)
        assert status == (200 if policy["offered"] else 400), text
    assert {policy["offered"] for policy in policies} == {True, False}


def test_the_default_policy_and_what_it_cannot_do(model):
    from vase_server import Server

    with Server(model, "--budget", 128) as server:
        answer = server.complete(prompt="p" * 300, max_tokens=100)["vase"]
        assert (answer["policy"], answer["pin_prompt"]) == ("vase-plus", 0.5) and answer["evictions"] > 0
        _, error = server.refused("/v1/completions", {"prompt": "a", "vase": {"policy": "rkv"}})
        assert "--policy vase takes any" in error["message"]


def test_a_server_that_never_evicts(model):
    from vase_server import Server

    with Server(model, "--policy", "full", "--ctx-size", 512, "--parallel", 2) as server:
        answer = server.complete(prompt="p" * 100, max_tokens=1000)
        assert answer["choices"][0]["finish_reason"] == "length"
        assert answer["vase"]["choices"][0]["tokens"] <= 512
        assert server.refused("/v1/completions", {"prompt": "p" * 600})[1]["param"] == "prompt"
        assert server.refused("/v1/completions", {"prompt": "p", "vase": {"policy": "vase"}})[0] == 400
        assert server.get("/vase/status")["layers"] == 0
        assert server.request("GET", "/vase/cache?slot=0&layer=0&head=0")[0] == 400


def test_the_loop_guard_goes_back_and_says_so(start):
    server = start("--loop-guard", "--parallel", 1)
    for policy in ("vase", "vase-plus", "rkv"):
        before = server.metric("vase_loop_alarms_total")
        evicted = server.metric("vase_evictions_total")
        # A model of random weights repeats itself when it is greedy.
        answer = server.complete(max_tokens=1500, temperature=0, vase={"policy": policy})
        assert answer["usage"]["completion_tokens"] == 1500
        assert server.metric("vase_loop_alarms_total") > before
        report = answer["vase"]["choices"][0]
        assert report["loop_alarms"] == server.metric("vase_loop_alarms_total") - before
        assert report["evictions"] == server.metric("vase_evictions_total") - evicted
        # What was said twice is in the answer, but not in the cache.
        assert report["tokens"] < 1500
        assert report["rows"] <= 128 + 32
    status = server.get("/vase/status")["slots"][0]
    assert status["policy"] == "vase-plus", "as the answer was finished"
    server.complete(max_tokens=3)
    assert server.get("/vase/status")["slots"][0]["policy"] == "vase"
