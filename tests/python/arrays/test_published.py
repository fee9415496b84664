"""The outcomes of published code on stored inputs (tests/parity/data/README.md), through the Python interface. The draws are
compared in C++ (tests/parity); here is what has one right answer."""

from pathlib import Path

import numpy as np
import pytest

import vase

FILES = sorted((Path(__file__).resolve().parents[2] / "parity/data").glob("*.npz"))
assert len(FILES) == 4


@pytest.fixture(params=FILES, ids=lambda path: path.stem)
def case(request):
    rivals = request.param.parent / "rivals" / request.param.name
    return {**np.load(request.param), **np.load(rivals)}


def arguments(case, policy="vase"):
    """The stored parameters that the policy looks at."""
    stored = {"budget": int(case["budget"]), "recency": int(case["recency"])}
    if policy == "vase":
        stored |= {"protect": int(case["n_protect"]), "temperature": float(case["temperature"])}
    if policy == "rkv":
        stored["lambda_"] = float(case["rkv_lambda"])
    return stored


@pytest.mark.parametrize(
    ("mode", "policy", "options"),
    [
        ("attn", "snapkv", {"sinks": 0}),
        ("attn_rkv", "rkv", {"sinks": 0}),
        ("evict_large_range", "evict-large", {"sinks": 0}),
        ("cur_resample_gauss", "vase-cur", {}),
    ],
)
def test_kept_rows(case, mode, policy, options):
    gauss = case[f"{mode}.G"] if policy == "vase-cur" else None
    mask = vase.select(case["K"], case["V"], case["Q"], policy, gauss=gauss, **arguments(case, policy), **options)
    assert (mask == case[f"{mode}.kept"]).all()


def test_keydiff(case):
    arguments = (case["K"], case["V"], None, "keydiff")
    options = {"budget": int(case["budget"]), "recency": 0, "sinks": 0}
    assert (vase.select(*arguments, **options) == case["keydiff.kept"]).all()
    np.testing.assert_allclose(vase.scores(*arguments, **options), case["keydiff.scores"], atol=1e-6)


def test_triattention(case):
    frequencies = case["triattention.frequencies"]
    options = {"budget": int(case["budget"]), "recency": 0, "sinks": 0, "rope": vase.Rope(frequencies, len(frequencies))}
    mask = vase.select(case["K"], case["V"], None, "triattention", calibration=case["triattention.calibration"], **options)
    assert (mask == case["triattention.kept"]).all()


@pytest.mark.parametrize(("mode", "options"), [("range_sink_sample_attn", {}), ("attn_sample", {"sinks": 0, "protect": 0})])
def test_weights_of_the_draw(case, mode, options):
    if f"{mode}.weights" not in case:
        pytest.skip("not stored for this input")
    published = case[f"{mode}.weights"]
    scores = vase.scores(case["K"], case["V"], case["Q"], "vase", **{**arguments(case), **options})[:, : published.shape[1]]
    protected = published == 0
    assert np.isinf(scores[protected]).all()
    np.testing.assert_allclose(scores[~protected], published[~protected], rtol=1e-5)


def test_draws(case):
    """How often each row survives, against the published share of as many draws: chi square over the rows that are at stake."""
    published = case["range_sink_sample_attn.inclusion"]
    draws = 200
    kept = np.zeros_like(published)
    for draw in range(draws):
        kept += vase.select(case["K"], case["V"], case["Q"], "vase", eviction=draw, **arguments(case))
    share = kept / draws
    variance = published * (1 - published) * (1 / draws + 1 / int(case["draws"]))
    at_stake = (published > 0.02) & (published < 0.98)
    chi2 = ((share - published)[at_stake] ** 2 / variance[at_stake]).sum()
    rows = at_stake.sum()
    assert rows > 100
    assert chi2 < rows + 5 * np.sqrt(2 * rows)
