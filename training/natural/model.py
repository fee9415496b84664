"""The base model from its GGUF file, and LoRA on it: transformers and peft do the work."""

import copy
import os
import shutil
from pathlib import Path

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

LAYERS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


def load_base(path, device, dtype=torch.bfloat16):
    """The weights of a GGUF file, or of a folder as transformers saves it. For generation and LoRA:
    nothing in it needs a gradient."""
    path = Path(path)
    if path.is_file():
        model = AutoModelForCausalLM.from_pretrained(
            path.parent,
            gguf_file=path.name,
            quantization_config=GgufConfig(dequantize=True),
            dtype=dtype,
        )
        # The weights are plain now; what says otherwise would forbid to save or to train.
        model.hf_quantizer = None
        vars(model.config).pop("quantization_config", None)
    else:
        model = AutoModelForCausalLM.from_pretrained(path, dtype=dtype)
    return fused_norms(model.to(device).eval().requires_grad_(False))


def load_tokenizer(path):
    """From a folder that save_pretrained wrote, or from a GGUF file (which takes minutes)."""
    path = Path(path)
    where = {"gguf_file": path.name} if path.is_file() else {}
    return AutoTokenizer.from_pretrained(path.parent if path.is_file() else path, **where)


def fused_norms(model):
    """RMS norms by PyTorch's one kernel instead of transformers' seven."""

    def norm(module, hidden):
        return torch.nn.functional.rms_norm(
            hidden, module.weight.shape, module.weight, module.variance_epsilon
        )

    for module in model.modules():
        if type(module).__name__.endswith("RMSNorm"):
            module.forward = norm.__get__(module)
    return model


def lora_config(rank, alpha):
    """LoRA of one rank on every linear layer: W + alpha / rank B A."""
    return LoraConfig(
        r=rank, lora_alpha=alpha, target_modules=LAYERS, lora_dropout=0.0, task_type="CAUSAL_LM"
    )


def with_lora(base, rank, start=None, seed=1):
    """`base` with trainable LoRA of rank `rank` on every linear layer, or with that of the folder
    `start`. The weights are shared with `base`. Take it off with `plain`."""
    torch.manual_seed(seed)
    if start is not None:
        return PeftModel.from_pretrained(base, start, is_trainable=True, autocast_adapter_dtype=False)
    return get_peft_model(base, lora_config(rank, 2 * rank), autocast_adapter_dtype=False)


def plain(lora_model):
    """The base model again, without the LoRA layers."""
    return lora_model.unload()


def merged(base, adapter):
    """A copy of `base` with an adapter's folder merged in; with None a plain copy."""
    model = copy.deepcopy(base)
    if adapter is not None:
        model = PeftModel.from_pretrained(model, adapter).merge_and_unload()
    return fused_norms(model).eval()


def save_adapter(lora_model, folder):
    """Writes the folder whole or not at all."""
    folder = Path(folder)
    part = folder.with_name(folder.name + ".part")
    lora_model.save_pretrained(part)
    if folder.exists():  # of a run that was killed before it could mark the stage as finished
        shutil.rmtree(folder)
    os.replace(part, folder)
