"""Makes the adapter: passes of the plain model, joined and learned, then rounds of its own chains.

    python -m natural.run --model MODEL.gguf --questions FOLDER --tests FOLDER --minutes 12 --out run

With --start ADAPTER nothing is made of the plain model's passes: rounds go on from that adapter.

Run it again with the same folder to go on after a stop: what is finished is not done again, and what
was sampled stays. The folder then holds adapter-K (peft), adapter-K.gguf, adapter.gguf (the chosen
one), log.jsonl (numbers of each stage) and every sampled text.
"""

import argparse
import gc
import itertools
import random
import shutil
import socket
import time
from pathlib import Path

from . import chains, cutting, passes, starting
from .contamination import TestTexts, clean, test_files
from .export import write_adapter
from .joining import vote
from .judge import Judges, hopeless, summary
from .progress import Folder
from .questions import mixed, test_questions, training_questions

# Shares of the wall clock, by stage; what is left of it goes to rounds.
TIME = {"first": 0.10, "second": 0.06, "train": 0.10, "round": 0.11, "learn": 0.07, "test": 0.17}
# From an adapter that is there, rounds have the time of what comes before them, too.
TIME_FROM_ADAPTER = {"round": 0.22, "learn": 0.14, "test": 0.17}
PASS_LIMIT = 900  # tokens of a pass; longer ones are not ended and not used
SPARE = 0.02  # of the wall clock, for writing


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--model", type=Path, required=True, help="GGUF file, or a folder that natural.prepare wrote")
    add("--tokenizer", type=Path, help="folder with tokenizer.json, to save minutes (default: the model's)")
    add("--questions", type=Path, required=True, help="folder of questions.tar.xz")
    add("--tests", type=Path, nargs="+", required=True, help="folders with test files, never trained on")
    add("--out", type=Path, default=Path("run"))
    add("--start", type=Path, metavar="ADAPTER",
        help="LoRA of this model, a GGUF file or peft folder, that rounds go on from (default: none, one is made)")  # fmt: skip
    add("--skip", type=int, default=0, choices=range(8), metavar="N",
        help="eighths of the questions to leave out: the first passes and each round of an earlier run with the same --seed asked one each")  # fmt: skip
    add("--minutes", type=float, default=12, help="wall clock for all of it (default: %(default)s)")
    add("--gpus", type=int, default=1, help="devices, each with a process of its own")
    add("--rank", type=int, default=16, help="of the LoRA; 16 gives 37 MB (default: %(default)s; with --start: that one's)")
    add("--rows", type=int, default=512, help="answers written at once (default: %(default)s)")
    add("--limit", type=int, default=6144, help="tokens of a chain in rounds (default: %(default)s)")
    add("--test-limit", type=int, default=8192, help="and at the end (default: %(default)s)")
    add("--test-count", type=int, default=100, help="questions of each test set (default: %(default)s)")
    add("--rounds", type=int, default=9, help="at most so many (default: %(default)s)")
    add("--batch-tokens", type=int, default=8192, help="of one training batch (default: %(default)s)")
    add("--made", type=int, default=1500, help="questions of each generator (default: %(default)s)")
    add("--judges", type=int, default=4, help="grading processes of each rank (default: %(default)s)")
    add("--no-graphs", action="store_true", help="sample without CUDA graphs")
    add("--seed", type=int, default=1)
    return parser.parse_args()


class Run:
    """One rank's view of the run."""

    def __init__(self, args, rank, port, start):
        self.args, self.rank, self.world = args, rank, args.gpus
        self.folder = Folder(args.out, rank, args.gpus)
        self.start, self.seconds = start, args.minutes * 60
        self.time = TIME_FROM_ADAPTER if args.start else TIME
        self.judges = Judges(args.judges)  # before the device is touched

        import torch
        from transformers.utils import logging

        from . import model

        logging.set_verbosity_error()
        logging.disable_progress_bar()
        self.torch, self.models = torch, model
        self.device = f"cuda:{rank}" if torch.cuda.is_available() else "cpu"
        if torch.cuda.is_available():
            torch.cuda.set_device(rank)
        if self.world > 1:
            torch.distributed.init_process_group(
                "nccl" if torch.cuda.is_available() else "gloo",
                init_method=f"tcp://127.0.0.1:{port}",
                rank=rank,
                world_size=self.world,
                device_id=torch.device(self.device) if torch.cuda.is_available() else None,
            )
        self.tokenizer = model.load_tokenizer(args.tokenizer or args.model)
        dtype = torch.bfloat16 if torch.cuda.is_available() else torch.float32
        self.base = model.load_base(args.model, self.device, dtype)
        self.folder.say(f"model loaded after {time.time() - start:.0f} s on {self.device}")

    def left(self):
        """Seconds of the wall clock that are left."""
        return self.start + self.seconds - time.time()

    def share(self, stage):
        """Seconds that a stage may take."""
        return self.time[stage] * self.seconds

    def together(self):
        """Waits for the other ranks."""
        if self.world > 1:
            self.torch.distributed.barrier()

    def agreed(self, value):
        """The first rank's number, so that all ranks decide alike."""
        if self.world == 1:
            return value
        box = self.torch.tensor([float(value)], dtype=self.torch.float64, device=self.device)
        self.torch.distributed.broadcast(box, 0)
        return box.item()

    def sample(self, stage, adapter, items, limit, temperature, seconds, admit=0.6):
        """Answers `items`, a list of (question, turns, fields for the line), as many as time allows;
        each line goes to the stage's file. What the file has already is left out."""
        from .chat import answer_text, prompt_ids, stop_ids
        from .sampling import Request, Sampler, Settings

        if self.folder.finished(stage):
            return
        begun = time.time()
        key = lambda line: (line["id"], line.get("way", ""))  # noqa: E731
        have = {key(line) for line in self.folder.lines(stage)}
        todo = [item for item in items if (item[0]["id"], item[2].get("way", "")) not in have]
        self.together()  # nobody writes before all have read, or they would share out unlike lists
        requests = [
            Request(item, prompt_ids(self.tokenizer, item[1]), limit)
            for item in todo[self.rank :: self.world]
        ]

        def done(request, status):
            question, _, fields = request.key
            text = answer_text(self.tokenizer, request.answer)
            line = {
                "id": question["id"],
                "set": question["set"],
                **fields,
                "status": status,
                "tokens": len(request.answer),
                "text": text,
            }
            write = lambda row: self.folder.append(stage, row)  # noqa: E731
            self.judges.judge(question, request.answer, text, line, write)

        result = (0, 1e-9)
        if requests:
            settings = Settings(
                temperature=temperature, rows=self.args.rows, graphs=not self.args.no_graphs
            )
            model = self.models.merged(self.base, adapter)
            longest = max(len(request.prompt) for request in requests) + limit
            sampler = Sampler(model, stop_ids(self.tokenizer), settings, longest, log=self.folder.say)
            result = sampler.run(
                requests, done, begun + admit * seconds, begun + seconds,
                self.args.seed * 1000 + self.rank,
            )  # fmt: skip
            del sampler, model
            gc.collect()  # CUDA graphs hold memory until then
            if self.torch.cuda.is_available():
                self.torch.cuda.empty_cache()
        self.judges.settle()
        rate = self.torch.tensor([result[0] / result[1]], device=self.device)
        if self.world > 1:
            self.torch.distributed.all_reduce(rate)
        self.together()
        lines = self.folder.lines(stage)
        self.folder.finish(
            stage,
            seconds=round(time.time() - begun, 1),
            tokens_per_second=round(rate.item()),
            temperature=temperature,
            limit=limit,
            sets=summary(lines),
        )
        self.together()

    def learn(self, stage, rows, start, seconds, epochs, rate):
        """Trains on rows ({question, text}), whole and some of them cut as well, from the adapter folder
        `start` or from nothing; returns the adapter's folder."""
        from .chat import answer_ids, prompt_ids
        from .training import Row, train

        out, state = self.args.out / stage, self.args.out / f"{stage}.state"
        if self.folder.finished(stage):
            return out
        begun = time.time()
        prompt = lambda row: prompt_ids(self.tokenizer, [row["question"]])  # noqa: E731
        whole = [Row(prompt(row), answer_ids(self.tokenizer, row["text"])) for row in rows]
        cut = []
        for row, *how in cutting.chosen(rows, random.Random(f"{self.args.seed} {stage}")):
            there, answer = cutting.cut_ids(self.tokenizer, row["text"], *how)
            cut.append(Row(prompt(row) + there, answer, cutting.WEIGHT))
        model = self.models.with_lora(self.base, self.args.rank, start, self.args.seed)
        model.train()
        numbers = train(
            model, whole + cut, deadline=begun + seconds, epochs=epochs, rate=rate,
            batch_tokens=self.args.batch_tokens, seed=self.args.seed, rank=self.rank, world=self.world,
            state=state, log=self.folder.say,
        )  # fmt: skip
        if self.rank == 0:
            self.models.save_adapter(model, out)
            write_adapter(out, self.args.out / f"{stage}.gguf")
        self.models.plain(model)
        self.base.requires_grad_(False)
        self.base.eval()
        if self.torch.cuda.is_available():
            self.torch.cuda.empty_cache()
        mean = sum(len(row.answer) for row in whole) / max(1, len(whole))
        self.folder.finish(
            stage, chains=len(whole), mean_tokens=round(mean), cut_rows=len(cut), epochs=epochs,
            rate=rate, **numbers,
        )  # fmt: skip
        self.together()
        state.unlink(missing_ok=True)
        return out

    def take(self, stage, adapter):
        """Takes an adapter (GGUF file or peft folder) for what this stage would train; returns its folder."""
        out = self.args.out / stage
        if self.folder.finished(stage):
            return out
        self.together()  # nobody marks it as finished before all have looked
        if self.rank == 0:
            rank = starting.write_folder(adapter, out)
            write_adapter(out, self.args.out / f"{stage}.gguf")
            self.folder.finish(stage, start=str(adapter), lora_rank=rank)
        self.together()
        return out

    def counted(self, rows):
        """Rows with the tokens of their text."""
        for row in rows:
            row["tokens"] = len(self.tokenizer.encode(row["text"], add_special_tokens=False))
        return rows


def first_adapter(run, fresh, count):
    """The adapter that rounds go on from, and the joined chains that it was trained on (none of one
    that was trained before). What is asked for it are the next `count` questions of `fresh`."""
    if run.args.start:
        return run.take("adapter-0", run.args.start), []
    rows = first_chains(run, list(itertools.islice(fresh, count)))
    if not rows:
        raise SystemExit(
            f"no pass of the plain model gave a chain to learn from ({run.args.out}/first.*.jsonl has "
            "them): give it more --minutes, or look whether the model answers in \\boxed{}"
        )
    return run.learn("adapter-0", rows, None, run.share("train"), 2, 3e-4), rows


def first_chains(run, questions):
    """Passes of the plain model over questions, joined: the rows that were right, balanced."""
    args = run.args
    by_id = {question["id"]: question for question in questions}
    items = [
        (question, passes.first_turns(question, way), {"way": way})
        for question in questions
        for way in passes.order_for(question)
    ]
    run.sample("first", None, items, PASS_LIMIT, 0.7, run.share("first"), admit=0.85)
    by_question = {}
    for line in run.folder.lines("first"):
        by_question.setdefault(line["id"], {})[line["way"]] = line
    chosen, wanted, items = {}, {}, []
    for name, ways in by_question.items():
        question, rng = by_id[name], chains.question_rng(args.seed, by_id[name], "ways")
        chosen[name] = chains.chosen_ways(question, ways, rng)
        look = chains.second_pass(chosen[name], vote([line["answer"] for line in chosen[name]]))
        if look is None or rng.random() > 0.8:
            continue
        kind, line, other = look
        written = {one["answer"]: one["boxed"] for one in chosen[name] if one["answer"] is not None}
        if kind == "check":
            turns = passes.check_turns(question, line["text"], line["boxed"])
        else:
            turns = passes.review_turns(question, line["text"], line["boxed"], written[other])
        wanted[name] = (kind, line["answer"], other)
        items.append((question, turns, {"way": kind}))
    run.sample("second", None, items, PASS_LIMIT, 0.7, run.share("second"), admit=0.85)
    second = {}
    for line in run.folder.lines("second"):
        usable = line["status"] == "ended" and not line["loop"] and line["answer"] is not None
        if usable and line["id"] in wanted:
            kind, about, other = wanted[line["id"]]
            second[line["id"]] = (kind, line, about, other)
    rows = []
    for name in chosen:
        rng = chains.question_rng(args.seed, by_id[name], "join")
        if chosen[name]:
            row = chains.joined_chain(by_id[name], chosen[name], second.get(name), rng)
            rows += [row] if row else []
    return chains.balanced(run.counted(rows), random.Random(args.seed))


def kept_of(run, stage, by_id):
    """The chains of a round that are learned from, with their questions."""
    kept = [
        {name: line[name] for name in ("id", "set", "text", "tokens")}
        | {"question": by_id[line["id"]]["text"]}
        for line in run.folder.lines(stage)
        if chains.keeps(line)
    ]
    return chains.balanced(sorted(kept, key=lambda row: row["id"]), random.Random(run.args.seed))


def best_of(run, rounds):
    """The adapter to ship: the last one, unless a measured one before it was clearly better than the
    last measured one (right answers on questions of the training sets that were new to both)."""
    lines = {}
    for number in range(1, rounds + 1):
        answered = run.folder.lines(f"round-{number}")
        if answered and run.folder.finished(f"round-{number}"):
            lines[number - 1] = answered
    if not lines:
        return 0
    # Of sets that all were asked about: without its hard ones an adapter would look better.
    common = set.intersection(*({line["set"] for line in group} for group in lines.values()))
    scores = {}
    for number, group in lines.items():
        numbers = summary([line for line in group if line["set"] in common] or group)["all"]
        scores[number] = numbers["right"] - 0.5 * (numbers["loops"] + numbers["limit"])
    best, last = max(scores, key=scores.get), max(scores)
    run.folder.log(stage="choice", scores=scores)
    return best if scores[best] > scores[last] + 4 else rounds_done(run)


def rounds_done(run):
    """The number of the last adapter that is finished."""
    number = 0
    while run.folder.finished(f"adapter-{number + 1}"):
        number += 1
    return number


def work(rank, args, port, start):
    """What each rank does."""
    run = Run(args, rank, port, start)
    sets = training_questions(args.questions, args.seed, args.made)
    sets, found = clean(sets, TestTexts(test_files(args.tests)))
    if not run.folder.finished("questions"):
        run.folder.finish("questions", used={n: len(q) for n, q in sets.items()}, left_out=found)
    everything = mixed(sets, sum(map(len, sets.values())))
    by_id = {question["id"]: question for question in everything}
    part = max(50, len(everything) // 8)  # questions that a stage may draw on; none is used twice
    fresh = iter(everything[args.skip * part :])
    adapter, rows = first_adapter(run, fresh, part)
    anchor = random.Random(args.seed).sample(rows, len(rows) // 4)
    number, dropped = 0, set()
    while number < args.rounds:
        needed = run.share("round") + run.share("learn") + run.share("test") + SPARE * run.seconds
        sampled = run.folder.finished(f"round-{number + 1}")
        if not sampled and not run.agreed(run.left() > needed):
            break
        useful = (question for question in fresh if question["set"] not in dropped)
        items = [(question, [question["text"]], {}) for question in itertools.islice(useful, part)]
        if not items:
            run.folder.log(stage=f"round-{number + 1}", note="no question is left: the rounds end here")
            break
        number += 1
        run.sample(f"round-{number}", adapter, items, args.limit, 0.7, run.share("round"))
        lost = hopeless(summary(run.folder.lines(f"round-{number}"))) - dropped
        dropped |= lost
        if lost and not sampled:
            run.folder.log(stage="dropped", sets=sorted(lost), note=f"hardly ever right in round {number}")
        kept = kept_of(run, f"round-{number}", by_id)
        if not kept:
            run.folder.log(stage=f"adapter-{number}", note="no chain was kept: the rounds end here")
            break
        adapter = run.learn(f"adapter-{number}", kept + anchor, adapter, run.share("learn"), 1, 1e-4)
    chosen = best_of(run, number)
    if rank == 0:
        shutil.copyfile(args.out / f"adapter-{chosen}.gguf", args.out / "adapter.gguf")
        run.folder.log(stage="chosen", adapter=chosen)
    run.together()
    questions = test_questions_of(args)
    items = [(question, [question["text"]], {}) for question in questions]
    seconds = max(run.share("test"), run.agreed(run.left()) - SPARE * run.seconds)
    run.sample("test", args.out / f"adapter-{chosen}", items, args.test_limit, 0.6, seconds, admit=1.0)
    run.folder.log(stage="end", seconds=round(time.time() - start, 1))
    run.judges.close()
    if run.world > 1:
        run.torch.distributed.destroy_process_group()


def test_questions_of(args):
    """The test questions, from one folder that has links to all test files."""
    merged = args.out / "tests"
    merged.mkdir(exist_ok=True)
    for path in test_files(args.tests):
        target = merged / path.name
        try:
            target.symlink_to(path.resolve())
        except FileExistsError:
            pass  # another rank was faster
    return test_questions(merged, args.test_count, args.seed)


def check_start(args):
    """Says what is wrong with --start, for this model or for the folder of the run, before a device is busy."""
    folder = Folder(args.out, 0, args.gpus)
    passed = folder.finished("first") or folder.lines("first")
    if not args.start:
        if folder.finished("adapter-0") and not passed:
            raise SystemExit(f"{args.out} has a run with --start: give it again, or another --out")
        return
    if passed:
        raise SystemExit(f"{args.out} has a run without --start: leave it out, or give another --out")
    try:
        starting.check(args.start, args.model)
    except ValueError as error:
        raise SystemExit(f"--start: {error}") from None


def main():
    args = arguments()
    check_start(args)
    start = time.time()
    if args.gpus == 1:
        work(0, args, 0, start)
        return
    import torch.multiprocessing as mp

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    mp.spawn(work, (args, port, start), nprocs=args.gpus)


if __name__ == "__main__":
    main()
