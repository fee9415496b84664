# %% [markdown]
# # Which tokens does each head keep?
#
# SmolLM2 writes a text with a KV cache of a few dozen rows per head. Every head chooses its own rows; the picture shows how
# different the choices are.
#
# Needs `pip install "vase-kv[examples]"` and the default model (`make model` in a checkout of vase.cpp). Run it as a script, or
# cell by cell in an editor that knows the percent format.

# %%
import os
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from vase.hf import VaseCache

cache_folder = Path(os.environ.get("VASE_CACHE") or Path.home() / ".cache/vase")
model_file = cache_folder / "models/SmolLM2-135M-Instruct.Q4_1.gguf"
picture = Path(os.environ.get("VASE_EXAMPLE_PICTURE", "which_rows_stay.png"))
new_tokens = int(os.environ.get("VASE_EXAMPLE_TOKENS", "240"))

# %% [markdown]
# ## The model
#
# transformers reads the GGUF file. `vase_sdpa` is torch's attention, through which the cache also sees the queries.

# %%
tokenizer = AutoTokenizer.from_pretrained(model_file.parent, gguf_file=model_file.name)
model = AutoModelForCausalLM.from_pretrained(model_file.parent, gguf_file=model_file.name, dtype=torch.float32)
model.set_attn_implementation("vase_sdpa")

# %% [markdown]
# ## A text in a small cache
#
# 96 rows stay at each eviction, one every 32 tokens. Under the policy `vase`, the method as published, these are the newest 32,
# the first 4, the 24 with the widest values, and a draw by attention among the others.

# %%
cache = VaseCache(model.config, budget=96, policy="vase", recency=32, interval=32, window=32, seed=1)
messages = [{"role": "user", "content": "Tell me the story of a lighthouse keeper who finds a map in a bottle."}]
prompt = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=True, return_tensors="pt")
torch.manual_seed(1)
text = model.generate(**prompt, past_key_values=cache, max_new_tokens=new_tokens, do_sample=True, temperature=0.8, min_p=0.05)[0]
print(tokenizer.decode(text))
print(cache.statistics())

# %% [markdown]
# ## What is left
#
# One line of the upper picture is one head, one column one token of the text; below, in how many heads a token is still there.

# %%
tokens = cache.statistics().tokens
heads = np.concatenate([cache.positions(layer) for layer in range(len(cache.bounded_layers))])
kept = np.zeros((len(heads), tokens), bool)
for head, positions in enumerate(heads):
    kept[head, positions] = True
share = kept.mean(axis=0)

figure, (above, below) = plt.subplots(
    2, 1, figsize=(12, 7), sharex=True, height_ratios=[3, 1.4], layout="constrained"
)
above.imshow(kept, aspect="auto", interpolation="nearest", cmap="Blues", vmin=0, vmax=1.25)
per_layer = kept.shape[0] // len(cache.bounded_layers)
above.set_yticks(range(0, kept.shape[0], 5 * per_layer), range(0, len(cache.bounded_layers), 5))
above.set_ylabel(f"layer ({per_layer} KV heads each)")
above.set_title(f"{tokens} tokens seen, {heads.shape[1]} rows in each head")

below.bar(range(tokens), 100 * share, width=1, color="tab:blue")
below.set_ylabel("heads that kept it, %")
below.set_xlabel("token")
below.set_ylim(0, 160)
below.set_yticks([0, 50, 100])
prompt_end = prompt["input_ids"].shape[1]
for axes in above, below:
    axes.axvline(prompt_end - 0.5, color="tab:orange", linewidth=1)
below.annotate("prompt ends", (prompt_end, 140), color="tab:orange")

# The words before the last eviction that most heads held on to.
named: list[int] = []
for token in sorted(np.flatnonzero(share < 1), key=lambda t: -share[t]):
    if len(named) < 14 and all(abs(token - other) >= 7 for other in named):
        named.append(token)
        word = tokenizer.decode(text[token]).strip() or "\\n"
        below.annotate(word, (token, 100 * share[token] + 4), rotation=60, fontsize=8)

figure.savefig(picture, dpi=110)
print(f"picture: {picture}")
