"""Prompts and answers as token ids, in the model's own chat template."""

STOP = ("<|im_end|>", "<|endoftext|>")


def stop_ids(tokenizer):
    """The tokens that end an answer."""
    return sorted({tokenizer.convert_tokens_to_ids(token) for token in STOP})


def prompt_ids(tokenizer, turns):
    """`turns`: what user and assistant said, in turn, the user first and last."""
    roles = ("user", "assistant")
    messages = [{"role": roles[i % 2], "content": text} for i, text in enumerate(turns)]
    text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    return tokenizer.encode(text, add_special_tokens=False)


def answer_ids(tokenizer, text):
    """What the assistant says, with its end."""
    return tokenizer.encode(text, add_special_tokens=False) + [tokenizer.convert_tokens_to_ids(STOP[0])]


def answer_text(tokenizer, ids):
    """The text of generated ids, without the token that ended them."""
    return tokenizer.decode(ids, skip_special_tokens=True)
