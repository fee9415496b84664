"""KV cache eviction: which rows of a KV cache a model can best spare.

The functions here work on one layer of one sequence, on numpy arrays and torch tensors, in place and without copies; the same
C++ code as in the vase program does the work. ``vase.hf`` has a cache of fixed size for Hugging Face transformers.

    mask = vase.select(keys, values, budget=1024, rope=rope)        # [n_heads, n_rows]
    freed = vase.compact(keys, values, mask, vacate=1024)     # kept rows are now the first 1,024
"""

import warnings as _warnings

from vase._vase import get_threads, has_simd, set_threads
from vase._vase import version as __version__
from vase.calibration import read_calibration
from vase.eviction import Array, compact, scores, select
from vase.options import LayerOptions, PolicyOptions
from vase.policies import DEFAULT_POLICY, Policy, parameters, policies
from vase.rope import Rope

__all__ = [
    "DEFAULT_POLICY",
    "Array",
    "LayerOptions",
    "Policy",
    "PolicyOptions",
    "Rope",
    "__version__",
    "compact",
    "get_threads",
    "parameters",
    "policies",
    "read_calibration",
    "scores",
    "select",
    "set_threads",
]

if not has_simd:
    # pip hides what CMake said about it.
    _warnings.warn(
        "vase was built without Highway: evictions keep the same rows, but take some 40 times as long. On Debian: apt-get install "
        "libhwy-dev, then pip install --force-reinstall . in the checkout",
        RuntimeWarning,
        stacklevel=2,
    )
