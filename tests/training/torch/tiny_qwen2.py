"""A random Qwen2 of two layers that reads bytes: a model, its tokenizer, and both as files."""

import gguf
import torch
from lora_file import write_lora
from natural import export
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
BYTES = sorted(pre_tokenizers.ByteLevel.alphabet())
JOINED = [">Ċ", ">ĊĊ"]  # as Qwen2.5 has them; only where they are asked for
END = len(BYTES) + SPECIAL.index("<|im_end|>")
CHAT = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "<|im_start|>assistant\n"
)


def tiny_model(joined=False):
    """Always the same one, f32."""
    torch.manual_seed(1)
    return Qwen2ForCausalLM(
        Qwen2Config(
            vocab_size=len(BYTES) + len(SPECIAL) + joined * len(JOINED),
            hidden_size=64,
            intermediate_size=128,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            tie_word_embeddings=True,
            eos_token_id=END,
            initializer_range=0.2,
        )
    ).eval()


def tiny_tokenizer(joined=False):
    vocab = {text: i for i, text in enumerate(BYTES + SPECIAL + joined * JOINED)}
    merges = joined * [(text[:-1], text[-1]) for text in JOINED]
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(SPECIAL)
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=SPECIAL[2], pad_token=SPECIAL[0])
    fast.chat_template = CHAT
    return fast


def write_folder(path):
    """Model and tokenizer as natural.prepare leaves them."""
    tiny_model().save_pretrained(path)
    tiny_tokenizer().save_pretrained(path)


def write_adapter(path, rank, alpha):
    """A random LoRA of all linear layers, f16, as natural.export writes it."""
    generator = torch.Generator().manual_seed(2)
    values = {}
    for name, module in tiny_model().model.layers.named_modules():
        if isinstance(module, torch.nn.Linear):
            for part, shape in (("A", (rank, module.in_features)), ("B", (module.out_features, rank))):
                key = f"base_model.model.model.layers.{name}.lora_{part}.weight"
                values[key] = (0.02 * torch.randn(shape, generator=generator)).half().numpy()
    tensors = ((export.gguf_name(key), value, None) for key, value in sorted(values.items()))
    write_lora(path, "qwen2", "vase natural reasoner", alpha, tensors)


def write_gguf(path, model, names):
    """The model as llama.cpp reads it, f32; `names`: transformers' name of a layer's matrix -> llama.cpp's."""
    config = model.config
    joined = JOINED[: config.vocab_size - len(BYTES) - len(SPECIAL)]
    writer = gguf.GGUFWriter(path, "qwen2")
    writer.add_context_length(4096)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    kinds = [gguf.TokenType.NORMAL] * len(BYTES) + [gguf.TokenType.CONTROL] * len(SPECIAL)
    writer.add_token_list(BYTES + SPECIAL + joined)
    writer.add_token_types(kinds + [gguf.TokenType.NORMAL] * len(joined))
    merges = [f"{text[:-1]} {text[-1]}" for text in joined]
    writer.add_token_merges(merges or [f"{BYTES[-2]} {BYTES[-1]}"])  # one there must be; no text here has it
    writer.add_eos_token_id(END)
    norms = {"input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm"}
    whole = {"model.embed_tokens.weight": "token_embd.weight", "model.norm.weight": "output_norm.weight"}
    for name, tensor in model.state_dict().items():
        if name == "lm_head.weight":
            continue  # that of the embedding
        if name not in whole:
            layer, rest = name.removeprefix("model.layers.").split(".", 1)
            module, kind = rest.rsplit(".", 1)
            target = f"blk.{layer}.{(names | norms)[module]}.{kind}"
        else:
            target = whole[name]
        writer.add_tensor(target, tensor.numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
