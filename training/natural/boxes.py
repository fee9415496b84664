"""\\boxed{...} in a text, with braces in it."""

BOX = "\\boxed{"


def _end(text, start):
    """Where the box at `start` is closed; the text's length if it is not."""
    depth = 0
    for index in range(start + len(BOX) - 1, len(text)):
        depth += {"{": 1, "}": -1}.get(text[index], 0)
        if depth == 0:
            return index
    return len(text)


def last_boxed(text):
    """What stands in the last box, or None."""
    start = text.rfind(BOX)
    if start < 0 or (end := _end(text, start)) == len(text):
        return None
    return text[start + len(BOX) : end].strip()


def unboxed(text):
    """The text without its boxes; what stands in them stays."""
    while (start := text.find(BOX)) >= 0:
        end = _end(text, start)
        text = text[:start] + text[start + len(BOX) : end] + text[end + 1 :]
    return text
