"""The shape of the hybrid: Qwen 3.5's classes of transformers, small."""

from transformers import Qwen3_5ForCausalLM, Qwen3_5TextConfig

from vocabulary import SIZE

LONGEST = 8192


def make_config() -> Qwen3_5TextConfig:
    return Qwen3_5TextConfig(
        vocab_size=SIZE,
        hidden_size=256,
        intermediate_size=704,
        num_hidden_layers=8,  # two of which attend, as in the large ones
        full_attention_interval=4,
        num_attention_heads=8,
        num_key_value_heads=2,
        head_dim=64,
        linear_num_key_heads=2,
        linear_num_value_heads=4,
        linear_key_head_dim=32,  # small states, which cannot hold the facts of a text
        linear_value_head_dim=32,
        max_position_embeddings=LONGEST,
        tie_word_embeddings=True,
        rope_parameters={
            "rope_type": "default",
            "rope_theta": 1e6,
            "partial_rotary_factor": 0.25,
            "mrope_section": [3, 3, 2],
            "mrope_interleaved": True,
        },
        bos_token_id=None,
        eos_token_id=0,
        pad_token_id=0,
    )


def make_model() -> Qwen3_5ForCausalLM:
    return Qwen3_5ForCausalLM(make_config())
