"""What the plain model is asked, to build one long thought out of its own short answers.

First passes look at a question in one way each, none knowing of the others. Second passes see
results of first ones and check them.
"""

# Name -> what is said behind the question. "" is the question as it is.
WAYS = {
    "direct": "",
    "facts": "\n\nBegin with a list of what each sentence of the question says, and of what is asked. "
    "Then work it out from this list, one small step at a time.",
    "backwards": "\n\nStart from what is asked: say what would have to be known for it, and what for "
    "that, until you are at what is given. Then do the calculation.",
    "unknowns": "\n\nName the unknown quantities, write down what is said about them as equations or "
    "statements, and solve these one after the other.",
    "cases": "\n\nWork it out by trying: take concrete values or go through the cases one by one, "
    "test each of them against what is said, and keep what fits.",
    "slowly": "\n\nDo it slowly, as for somebody who makes mistakes in calculations: split every "
    "calculation into small ones and write down each result.",
    "again": "\n\nWork it out in full.",
}

# How a thought speaks of them.
WAY_NAMES = {
    "direct": ("directly", "straight away", "step by step"),
    "facts": ("from a list of what is given", "sentence by sentence", "with all facts listed first"),
    "backwards": ("starting from what is asked", "backwards from the question", "from the end"),
    "unknowns": ("with names for the unknowns", "with equations", "by writing down conditions"),
    "cases": ("by trying cases", "by trying values", "case by case"),
    "slowly": ("slowly, in small calculations", "in small steps", "with every calculation split"),
    "again": ("once more from the beginning", "again without looking above", "in full once more"),
}

# By how hard mathematics by many sentences gains from them; puzzles of statements want cases early.
ORDERS = {
    "mathematics": ("direct", "unknowns", "facts", "slowly", "backwards", "again", "cases"),
    "statements": ("direct", "cases", "facts", "again", "unknowns", "slowly", "backwards"),
}

CHECK = (
    "Check this: put the answer {answer} back into the question and see whether everything that is "
    "said there holds; do each calculation again. Then give the right answer within \\boxed{{}}."
)
REVIEW = (
    "Another attempt at this question gave {other}, not {answer}. Go through the steps again one by "
    "one, find where a mistake was made, and give the right answer within \\boxed{{}}."
)


def order_for(question):
    """The ways for a question, most useful first."""
    return ORDERS["mathematics" if question["grader"] in ("number", "latex") else "statements"]


def first_turns(question, way):
    """What the model is asked in a first pass."""
    return [question["text"] + WAYS[way]]


def check_turns(question, solution, answer):
    """Asked to check a first pass's answer."""
    return [question["text"], solution, CHECK.format(answer=answer)]


def review_turns(question, solution, answer, other):
    """Asked to find out why two first passes differ."""
    return [question["text"], solution, REVIEW.format(answer=answer, other=other)]
