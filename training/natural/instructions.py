"""What `vase eval` writes behind a question, by the kind of its answer (src/eval/shared_format.cpp,
instruction_for)."""

ANY = "\n\nThink step by step, and put your final answer within \\boxed{}."
CHOICE = "\n\nThink step by step, and put the letter of your final answer within \\boxed{}."
ASSIGNMENT = "\n\nThink step by step, and put all of your final answer within one \\boxed{}."
