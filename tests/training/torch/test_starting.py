"""An adapter file as the peft folder that training goes on from: GGUF -> peft -> GGUF, and what is refused."""

import pytest
import torch

pytest.importorskip("peft", reason="no peft: see training/natural/README.md, Tests")
import lora_file  # noqa: E402
from natural import export, model, starting  # noqa: E402
from tiny_qwen2 import tiny_model, write_adapter, write_gguf  # noqa: E402

RANK, ALPHA = 4, 12.0  # not twice the rank, as natural.run's own


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """The base as a folder and as GGUF, and an adapter as GGUF."""
    folder = tmp_path_factory.mktemp("starting")
    tiny_model().save_pretrained(folder / "base")
    write_gguf(folder / "base.gguf", tiny_model(), export.NAMES)
    write_adapter(folder / "adapter.gguf", RANK, ALPHA)
    return folder


def test_a_file_as_a_folder_and_back_is_the_same(files):
    assert starting.write_folder(files / "adapter.gguf", files / "folder") == RANK
    export.write_adapter(files / "folder", files / "again.gguf")
    assert (files / "again.gguf").read_bytes() == (files / "adapter.gguf").read_bytes()
    starting.write_folder(files / "folder", files / "folder of a folder")
    for name in ("adapter_model.safetensors", "adapter_config.json"):
        assert (files / "folder of a folder" / name).read_bytes() == (files / "folder" / name).read_bytes()


def test_peft_adds_what_the_file_says(files):
    starting.write_folder(files / "adapter.gguf", files / "added")
    pairs, alpha = lora_file.read_lora(files / "adapter.gguf")
    assert alpha == ALPHA
    before = tiny_model().state_dict()
    after = model.merged(tiny_model(), files / "added").state_dict()
    for layer in range(2):
        for module, short in export.NAMES.items():
            a, b = map(torch.from_numpy, pairs.pop(f"blk.{layer}.{short}.weight"))
            name = f"model.layers.{layer}.{module}.weight"
            torch.testing.assert_close(after[name] - before[name], ALPHA / RANK * b @ a, rtol=1e-3, atol=1e-5)
    assert not pairs


def test_a_model_of_bfloat16_has_the_adapter_in_its_type(files):
    starting.write_folder(files / "adapter.gguf", files / "of bfloat16")
    lora = model.with_lora(tiny_model().bfloat16(), RANK, files / "of bfloat16")
    assert {p.dtype for p in lora.parameters() if p.requires_grad} == {torch.bfloat16}


@pytest.mark.parametrize("base", ["base", "base.gguf"])
def test_the_adapter_of_a_model_is_accepted_with_it(files, base):
    starting.check(files / "adapter.gguf", files / base)
    starting.write_folder(files / "adapter.gguf", files / "accepted")
    starting.check(files / "accepted", files / base)


def values_of(path):
    """The tensors of an adapter by name, as write_lora takes them."""
    pairs, _ = lora_file.read_lora(path)
    return {f"{name}.lora_{part}": v.astype("float16") for name, pair in pairs.items() for part, v in zip("ab", pair)}


def refused(files, change):
    """What is said of the adapter with some tensors changed."""
    tensors = values_of(files / "adapter.gguf")
    change(tensors)
    path = files / "changed.gguf"
    lora_file.write_lora(path, "qwen2", "changed", ALPHA, ((name, v, None) for name, v in tensors.items()))
    with pytest.raises(ValueError) as error:
        starting.check(path, files / "base")
    return str(error.value)


def test_an_adapter_of_another_model_is_refused(files):
    query = "blk.0.attn_q.weight"
    wider = refused(files, lambda t: t.update({f"{query}.lora_b": t["blk.0.ffn_up.weight.lora_b"]}))
    assert f"{query} is (64, 64), its change (128, 64)" in wider
    fewer = refused(files, lambda t: [t.pop(f"{query}.lora_{part}") for part in "ab"])
    assert f"{query} is (64, 64), its change not there" in fewer
    more = refused(files, lambda t: t.update({f"blk.2.attn_q.weight.lora_{p}": t[f"{query}.lora_{p}"] for p in "ab"}))
    assert "blk.2.attn_q.weight is not there, its change (64, 64)" in more
    halves = refused(files, lambda t: t.pop(f"{query}.lora_b"))
    assert "must be a LoRA adapter" in halves


def test_an_adapter_of_several_ranks_is_refused(files):
    def narrower(tensors):
        a, b = (f"blk.1.ffn_up.weight.lora_{part}" for part in "ab")
        tensors.update({a: tensors[a][:2], b: tensors[b][:, :2].copy()})

    assert "must have one rank" in refused(files, narrower)
    assert "has [2, 4]" in refused(files, narrower)


@pytest.mark.parametrize("name", ["base.gguf", "base", "nothing.gguf", "text.gguf"])
def test_what_is_no_adapter_is_refused(files, name):
    (files / "text.gguf").write_text("no adapter at all")
    with pytest.raises(ValueError, match="must be a LoRA adapter, a GGUF file or a folder that peft wrote"):
        starting.check(files / name, files / "base")
