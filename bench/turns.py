#!/usr/bin/env python3
"""Time to first token over the turns of a chat, with prompts put aside and without.

    python3 bench/turns.py --program build/release/bin/vase --model model.gguf [--lora adapter.gguf]

Talks with two servers by turns, one with --cache-ram and one with --cache-ram 0: the same messages
to both, the answers of the first. Thoughts are left out of later turns, as clients leave them out.
Prints a Markdown table; on a shared machine the processors' time is the one to look at. All traffic is on 127.0.0.1.
"""

import argparse
import http.client
import json
import os
import signal
import statistics
import time

from server_process import start_server

SYSTEM = "You are a patient teacher of arithmetic. Say how you come to each result, in short sentences. " * 8
QUESTION = ("Turn {0}. A shop has {1} boxes of {2} pens, sells {3} pens on Monday and twice as many on Tuesday, "
            "and then buys {4} more boxes. How many pens are there now?")
JSON = {"Content-Type": "application/json"}


def processor_seconds(process):
    """Of all threads so far."""
    with open(f"/proc/{process.pid}/stat") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def say(server, messages, tokens):
    """Seconds to the first token, on the clock and of processors; the answer without its thought, and
    the usage."""
    process, port = server
    body = {"messages": messages, "max_tokens": tokens, "temperature": 0, "stream": True,
            "stream_options": {"include_usage": True}, "logprobs": True}
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=900)
    began, worked = time.monotonic(), processor_seconds(process)
    connection.request("POST", "/v1/chat/completions", json.dumps(body), JSON)
    response = connection.getresponse()
    if response.status != 200:
        raise SystemExit(response.read().decode())
    first, answer, usage = None, "", None
    for line in response:
        if not line.startswith(b"data: {"):
            continue
        event = json.loads(line[6:])
        if event.get("choices"):
            first = first or (time.monotonic() - began, processor_seconds(process) - worked)
            answer += event["choices"][0]["delta"].get("content") or ""
        usage = event.get("usage") or usage
    return first, answer, usage


def resident(process):
    with open(f"/proc/{process.pid}/status") as status:
        return next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmRSS"))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", default="build/release/bin/vase")
    parser.add_argument("--model", required=True)
    parser.add_argument("--lora")
    parser.add_argument("--budget", type=int, default=1024)
    parser.add_argument("--turns", type=int, default=10)
    parser.add_argument("--tokens", type=int, default=150, help="of an answer, at most")
    parser.add_argument("--reasoning-budget", type=int, default=-1)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    arguments = parser.parse_args()

    options = ["--budget", arguments.budget, "-t", arguments.threads, "--parallel", 2,
               "--reasoning-budget", arguments.reasoning_budget]
    options += ["--lora", arguments.lora] if arguments.lora else []
    servers = [start_server(arguments.program, arguments.model, options + more)
               for more in ([], ["--cache-ram", 0])]
    messages = [{"role": "system", "content": SYSTEM}]
    print("| turn | prompt, tokens | not read again | first token, s | without | processors, s | without | memory, MiB | without |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    times = [[], []]
    for turn in range(1, arguments.turns + 1):
        question = QUESTION.format(turn, turn + 3, turn + 11, 2 * turn + 1, turn + 1)
        messages.append({"role": "user", "content": question})
        said = [say(server, messages, arguments.tokens) for server in servers]
        usage = said[0][2]
        for all_of_one, (first, _, _) in zip(times, said):
            all_of_one.append(first)
        print(f"| {turn} | {usage['prompt_tokens']} | {usage['prompt_tokens_details']['cached_tokens']} "
              f"| {said[0][0][0]:.2f} | {said[1][0][0]:.2f} | {said[0][0][1]:.2f} | {said[1][0][1]:.2f} "
              f"| {resident(servers[0][0]):.0f} | {resident(servers[1][0]):.0f} |", flush=True)
        messages.append({"role": "assistant", "content": said[0][1]})
    clock, worked = ([statistics.median(first[kind] for first in one[1:]) for one in times] for kind in (0, 1))
    print(f"| median of turns 2 to {arguments.turns} | | | {clock[0]:.2f} | {clock[1]:.2f} "
          f"| {worked[0]:.2f} | {worked[1]:.2f} | | |")
    for process, _ in servers:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


if __name__ == "__main__":
    main()
