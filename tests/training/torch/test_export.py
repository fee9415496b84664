"""The exported adapter under libllama (`vase serve --lora`) against transformers with peft: logarithms of probabilities, f32."""

import os

import pytest
import torch
from vase_server import Server

pytest.importorskip("peft", reason="no peft: see training/natural/README.md, Tests")
pytest.importorskip("gguf")
from natural import export, model  # noqa: E402
from tiny_qwen2 import BYTES, SPECIAL, tiny_model, tiny_tokenizer, write_gguf  # noqa: E402

pytestmark = pytest.mark.skipif("VASE_PROGRAM" not in os.environ, reason="built without the program")
PROMPT = "Two trains leave at noon."
TOKENS, TOP = 12, 20
# In a logarithm. Without an adapter libllama and transformers are 0.009 apart on this model, with it 0.014; the adapter changes 4.
MOST = 0.03


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A GGUF base, a GGUF adapter, and the adapter's folder."""
    folder = tmp_path_factory.mktemp("export")
    write_gguf(folder / "base.gguf", tiny_model(), export.NAMES)
    lora = model.with_lora(tiny_model(), rank=4)
    for name, parameter in lora.named_parameters():
        if "lora_" in name:  # the same in f16, and B not zero as it is at the start
            parameter.data = (0.1 * torch.randn(parameter.shape)).half().float()
    model.save_adapter(lora, folder / "adapter")
    export.write_adapter(folder / "adapter", folder / "adapter.gguf")
    return folder


def said_by_the_program(files, *options):
    """The ids that are written greedily, and at each place the likeliest ones: {id: logarithm}."""
    with Server(files / "base.gguf", *options, "--budget", 256, "-ctk", "f32", "-ctv", "f32") as server:
        answer = server.complete(PROMPT, max_tokens=TOKENS, temperature=0, logprobs=TOP)
    said = answer["choices"][0]["logprobs"]
    likeliest = [{token_id(text): value for text, value in place.items()} for place in said["top_logprobs"]]
    assert [len(place) for place in likeliest] == [TOP] * TOKENS
    return [token_id(text) for text in said["tokens"]], likeliest


def token_id(text):
    """Of a token as OpenAI's interface writes it: text, or "bytes:\\xd1" if it is none by itself."""
    if text in SPECIAL:
        return len(BYTES) + SPECIAL.index(text)
    byte = int(text[-2:], 16) if text.startswith("bytes:") else text.encode()[0]
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]  # as themselves; the others behind 255
    others = [b for b in range(256) if b not in shown]
    return BYTES.index(chr(byte if byte in shown else 256 + others.index(byte)))


@torch.no_grad()
def largest_difference(said, lora):
    """Between what the program said and transformers, over all the tokens that it names."""
    written, likeliest = said
    prompt = tiny_tokenizer().encode(PROMPT, add_special_tokens=False)
    expected = lora(torch.tensor([prompt + written])).logits[0].log_softmax(-1)
    return max(
        abs(value - expected[len(prompt) - 1 + at, token].item())
        for at, place in enumerate(likeliest)
        for token, value in place.items()
    )


def test_probabilities_are_those_of_peft(files):
    lora = model.with_lora(tiny_model(), rank=4, start=files / "adapter")
    assert largest_difference(said_by_the_program(files, "--lora", files / "adapter.gguf"), lora) < MOST
    assert largest_difference(said_by_the_program(files), lora) > 1  # so they are not alike by chance
