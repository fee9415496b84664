"""Several bounded servers behind one address, and evaluations over several machines, on a Ray cluster.

    serve run vase.ray:app model=model.gguf replicas=2 options="--budget 4096"
    python -m vase.ray.evaluate -o run.jsonl -- -m model.gguf --policies full,vase-plus

docs/scale.md says what each setting does (``vase.ray.settings``), and what each step costs.
"""

from __future__ import annotations

try:
    from ray import serve as _serve  # noqa: F401
except ImportError as _error:
    raise ImportError('vase.ray needs Ray Serve: pip install "vase-kv[ray]"') from _error

from vase.ray.application import app
from vase.ray.settings import Settings

__all__ = ["Settings", "app"]
