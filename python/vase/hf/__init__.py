"""A KV cache of fixed size for Hugging Face transformers.

    model.set_attn_implementation("vase_sdpa")
    cache = vase.hf.VaseCache(model.config, budget=4096)
    model.generate(**inputs, past_key_values=cache)

Importing this module registers the attention implementations "vase_sdpa" and "vase_fa2" with transformers. They are the usual
ones, except that with a VaseCache they also show it the queries; with any other cache they are plain sdpa.
"""

try:
    import torch  # noqa: F401
    from transformers import AttentionInterface, AttentionMaskInterface  # noqa: F401
except ImportError as error:
    raise ImportError(
        f'vase.hf needs torch and transformers 5.4 or later ({error}): pip install ".[hf]" in a checkout of vase.cpp'
    ) from error

from vase.hf.attention import register
from vase.hf.cache import SequenceStatistics, VaseCache

register()

__all__ = ["SequenceStatistics", "VaseCache"]
