#!/usr/bin/env python3
"""Right answers over the turns of chats, with prompts put aside and with all of them read again.

    python3 bench/turns_accuracy.py --program build/release/bin/vase --model model.gguf [--lora adapter.gguf]
                                    [--chats 8] [--turns 10] [--options="-ngl 99"]

Each chat asks problems of one kind in turns; all of its messages and answers are in each prompt, thoughts left out as clients
leave them out. Two servers talk, one with prompts put aside and one with --cache-ram 0, each goes on from its own answers; both
answer greedily, so the same question of the same chat is a pair. Prints a Markdown table and the pairs that differ, with the exact
binomial test of those (McNemar). All traffic is on 127.0.0.1.
"""

import argparse
import concurrent.futures
import http.client
import json
import os
import random
import re
import shlex
import signal

from paired import binomial
from server_process import start_server

SYSTEM = ("You keep the books of a shop. Answer each question in one short sentence that ends with the number asked for. "
          "These are its prices: ")
JSON = {"Content-Type": "application/json"}
GOODS = ("pens", "boxes", "lamps", "chairs", "books", "cups", "bags", "clocks", "rulers", "plates", "spoons", "forks")


def chat_of(seed, turns):
    """A system message and questions with their answers: prices to look up, and sums that go on from the turn before."""
    draw = random.Random(seed)
    prices = {good: draw.randrange(2, 60) for good in GOODS}
    system = SYSTEM + ", ".join(f"{good} {price} coins each" for good, price in prices.items()) + "."
    questions, total = [], draw.randrange(100, 200)
    for turn in range(turns):
        good, number = draw.choice(GOODS), draw.randrange(2, 6)
        if turn == 0:
            questions.append((f"The till holds {total} coins. How many coins does it hold?", total))
        elif turn % 2:
            questions.append((f"What is the price of one of the {good}?", prices[good]))
        else:
            total += number
            questions.append((f"{number} more coins are put into the till. How many coins does it hold now?", total))
    return system, questions


def answer_of(port, messages, tokens):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=900)
    connection.request("POST", "/v1/chat/completions",
                       json.dumps({"messages": messages, "max_tokens": tokens, "temperature": 0}), JSON)
    response = connection.getresponse()
    body = json.loads(response.read())
    if response.status != 200:
        raise SystemExit(body["error"]["message"])
    return body["choices"][0]["message"]["content"], body["usage"]


def talk(port, seed, arguments):
    """Of each turn: right or not; and tokens of prompts, and of these those that were not read again."""
    system, questions = chat_of(seed, arguments.turns)
    messages = [{"role": "system", "content": system}]
    right, prompt, cached = [], 0, 0
    for question, expected in questions:
        messages.append({"role": "user", "content": question})
        said, usage = answer_of(port, messages, arguments.tokens)
        messages.append({"role": "assistant", "content": said})
        numbers = re.findall(r"\d+", said.replace(",", ""))
        right.append(bool(numbers) and int(numbers[-1]) == expected)
        prompt += usage["prompt_tokens"]
        cached += usage["prompt_tokens_details"]["cached_tokens"]
    return right, prompt, cached


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", default="build/release/bin/vase")
    parser.add_argument("--model", required=True)
    parser.add_argument("--lora")
    parser.add_argument("--budgets", default="256,4096", help="the last one evicts nothing of these chats")
    parser.add_argument("--chats", type=int, default=8)
    parser.add_argument("--turns", type=int, default=10)
    parser.add_argument("--tokens", type=int, default=48, help="of an answer, at most")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--parallel", type=int, default=1, help="chats side by side")
    parser.add_argument("--options", default="", help="more options of vase serve")
    arguments = parser.parse_args()

    print("| budget | questions | right, prompts put aside | right, all read again | only one of them right | p "
          "| tokens of prompts | not read again |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for budget in arguments.budgets.split(","):
        options = ["--budget", budget, "-t", arguments.threads, "--parallel", arguments.parallel, *shlex.split(arguments.options)]
        options += ["--lora", arguments.lora] if arguments.lora else []
        results = []
        for more in ([], ["--cache-ram", 0]):
            process, port = start_server(arguments.program, arguments.model, options + more)
            with concurrent.futures.ThreadPoolExecutor(arguments.parallel) as pool:
                results.append(list(pool.map(lambda seed: talk(port, seed, arguments), range(arguments.chats))))
            process.send_signal(signal.SIGTERM)
            process.wait(60)
        pairs = [pair for one, other in zip(*results) for pair in zip(one[0], other[0])]
        only = [sum(a and not b for a, b in pairs), sum(b and not a for a, b in pairs)]
        print(f"| {budget} | {len(pairs)} | {sum(a for a, _ in pairs)} | {sum(b for _, b in pairs)} | {only[0]} and {only[1]} "
              f"| {binomial(*only):.2f} | {sum(one[1] for one in results[0])} | {sum(one[2] for one in results[0])} |", flush=True)


if __name__ == "__main__":
    main()
