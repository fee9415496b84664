"""Fast sampling of many answers: continuous batching over a paged cache, one CUDA graph a batch size.

An answer ends by a stop token ("ended"), at its limit ("limit"), because it goes round in circles
("loop"), or because time is up ("cut"). As answers end, the next prompts take their places.
"""

import time
from collections import deque
from dataclasses import dataclass, field

import torch

from .loops import ends_in_loop
from .paged import PAGE, PagedCache, attend_gathered, hidden_states, read_paged

WINDOW = 16  # steps between two looks at what was written
LOOP_CHECK = 256  # tokens between two looks for a loop


@dataclass
class Request:
    """A prompt to be answered; `key` is given back with the answer."""

    key: object
    prompt: list
    limit: int
    answer: list = field(default_factory=list)
    pages: list = field(default_factory=list)
    checked: int = 0


@dataclass
class Settings:
    """How tokens are drawn, and how many rows there are at most."""

    temperature: float = 0.6
    top_k: int = 20
    top_p: float = 0.95
    rows: int = 512
    graphs: bool = True


def choose(logits, settings):
    """One token a row of logits [rows, vocabulary], by temperature, top-k and top-p. No call in it
    waits for the device, so that it can stand in a CUDA graph."""
    top, ids = logits.topk(settings.top_k, -1)
    shares = (top.float() / settings.temperature).softmax(-1)
    shares = shares.where(shares.cumsum(-1) - shares < settings.top_p, 0.0)
    pick = (shares / torch.empty_like(shares).exponential_()).argmax(-1, keepdim=True)
    return ids.gather(1, pick).squeeze(1)


class Sampler:
    """Samples with one model on one device. `memory`: the share of the free memory for the cache."""

    def __init__(self, model, stops, settings, longest, memory=0.8, log=print):
        self.model, self.settings, self.log = read_paged(model), settings, log
        self.stops = set(stops)
        parameter = next(model.parameters())
        self.device, dtype = parameter.device, parameter.dtype
        self.cuda = self.device.type == "cuda"
        rows, width = settings.rows, longest // PAGE + 2
        pages = rows * width + 1
        if self.cuda:
            room = torch.cuda.mem_get_info(self.device)[0] * memory
            pages = min(pages, int(room / PagedCache.page_bytes(model.config, dtype)))
        self.cache = PagedCache(model.config, pages, self.device, dtype)
        if self.cache.attend is attend_gathered:
            settings.graphs = False  # it asks the device for lengths
        self.free = list(range(pages - 1, 0, -1))
        new = lambda *shape, dtype=torch.long: torch.zeros(shape, dtype=dtype, device=self.device)  # noqa: E731
        self.ids, self.lengths, self.active = new(rows), new(rows), new(rows)
        self.table = new(rows, width, dtype=torch.int32)
        self.written, self.step_at = new(rows, WINDOW), new(1)
        self.rows = [None] * rows
        self.graphs = {}

    @torch.no_grad()
    def run(self, requests, done, admit_until=float("inf"), drop_at=float("inf"), seed=0):
        """Answers `requests` in their order, as long as admitting them is allowed (wall clock), and
        calls done(request, status) for each that was begun. Returns the tokens written and the
        seconds it took."""
        torch.manual_seed(seed)
        start, tokens, told = time.time(), 0, time.time()
        waiting = deque(requests)
        while True:
            if time.time() < admit_until:
                self._admit(waiting)
            busy = [index for index, request in enumerate(self.rows) if request]
            if not busy:
                break
            if time.time() > drop_at:
                for index in busy:
                    done(self._release(index), "cut")
                break
            size = self._compact(busy, bool(waiting) and time.time() < admit_until)
            self._reserve(waiting)
            self._steps(size)
            tokens += self._collect(size, done)
            if time.time() - told > 10:
                told = time.time()
                rate = tokens / (told - start)
                self.log(f"  {sum(map(bool, self.rows))} writing, {len(waiting)} wait, {rate:.0f} tokens/s")
        return tokens, time.time() - start

    def _admit(self, waiting):
        """Reads waiting prompts into free rows, in batches of up to 16,384 tokens."""
        idle = [index for index, request in enumerate(self.rows) if request is None]
        while waiting and idle:
            batch, most = [], 0
            while waiting and idle and len(batch) < 128:
                request = waiting[0]
                need = (len(request.prompt) + WINDOW) // PAGE + 1
                most = max(most, len(request.prompt))
                if need > len(self.free) or (batch and most * (len(batch) + 1) > 16384):
                    break
                request.pages = [self.free.pop() for _ in range(need)]
                batch.append((idle.pop(0), waiting.popleft()))
            if not batch:
                return
            self._read(batch)

    def _read(self, batch):
        """Keys and values of new prompts, and the first token of each answer."""
        longest = max(len(request.prompt) for _, request in batch)
        ids = torch.zeros(len(batch), longest, dtype=torch.long)
        cells = torch.zeros(len(batch), longest, dtype=torch.long)
        for at, (row, request) in enumerate(batch):
            count = len(request.prompt)
            ids[at, :count] = torch.tensor(request.prompt)
            pages = torch.tensor(request.pages)
            cells[at, :count] = (pages[:, None] * PAGE + torch.arange(PAGE)).flatten()[:count]
            self.rows[row] = request
            self.table[row] = 0
            self.table[row, : len(pages)] = pages.to(torch.int32)
        self.cache.cells = cells.flatten().to(self.device)
        positions = torch.arange(longest, device=self.device)[None].expand(len(batch), -1)
        hidden = hidden_states(self.model, ids.to(self.device), positions, self.cache)
        counts = torch.tensor([len(request.prompt) for _, request in batch], device=self.device)
        last = hidden[torch.arange(len(batch), device=self.device), counts - 1]
        first = choose(self.model.lm_head(last), self.settings)
        rows = torch.tensor([row for row, _ in batch], device=self.device)
        self.ids[rows], self.lengths[rows], self.active[rows] = first, counts, 1
        for (_, request), token in zip(batch, first.tolist()):
            request.answer.append(token)  # one stop token right here is seen at the next collect

    def _compact(self, busy, filling):
        """The batch's size: a power of two; when nothing more comes in, rows move down into it."""
        size = self.settings.rows
        if filling:
            return size
        while size // 2 >= max(len(busy), 1):
            size //= 2
        high = [index for index in busy if index >= size]
        if high:
            low = [index for index in range(size) if self.rows[index] is None][: len(high)]
            for state in (self.ids, self.lengths, self.active, self.table):
                state[low] = state[high]
            self.active[high] = 0
            self.lengths[high] = 0
            self.table[high] = 0
            for old, new in zip(high, low):
                self.rows[new], self.rows[old] = self.rows[old], None
        return size

    def _reserve(self, waiting):
        """Pages for the next steps. If there are none left, the row that wrote least begins anew
        later."""
        rows, columns, pages = [], [], []
        for index, request in enumerate(self.rows):
            if request is None:
                continue
            need = (len(request.prompt) + len(request.answer) + WINDOW) // PAGE + 1
            while len(request.pages) < need and self.rows[index] is request:
                if not self.free:
                    young = min(
                        (r for r in range(len(self.rows)) if self.rows[r]),
                        key=lambda r: len(self.rows[r].answer),
                    )
                    again = self._release(young)
                    again.answer, again.checked = [], 0
                    waiting.appendleft(again)
                    continue
                rows.append(index)
                columns.append(len(request.pages))
                request.pages.append(self.free.pop())
                pages.append(request.pages[-1])
        kept = [i for i, row in enumerate(rows) if self.rows[row]]
        if kept:
            at = [torch.tensor([values[i] for i in kept], device=self.device) for values in (rows, columns)]
            self.table[at[0], at[1]] = torch.tensor(
                [pages[i] for i in kept], dtype=torch.int32, device=self.device
            )

    def _release(self, row):
        request = self.rows[row]
        self.free += request.pages
        request.pages = []
        self.rows[row] = None
        self.active[row] = 0
        self.lengths[row] = 0
        self.table[row] = 0
        return request

    def _step(self, size):
        """One token more for the first `size` rows; idle rows write to page 0 and stay."""
        ids, lengths, active = self.ids[:size], self.lengths[:size], self.active[:size]
        table = self.table[:size]
        page = table.gather(1, (lengths // PAGE)[:, None]).squeeze(1).long()
        self.cache.cells = page * PAGE + lengths % PAGE
        self.cache.table, self.cache.lengths = table, (lengths + 1).int()
        hidden = hidden_states(self.model, ids[:, None], lengths[:, None], self.cache)
        new = choose(self.model.lm_head(hidden[:, 0]), self.settings)
        new = torch.where(active > 0, new, ids)
        self.written[:size].index_copy_(1, self.step_at, new[:, None])
        ids.copy_(new)
        lengths.add_(active)
        self.step_at.add_(1)

    def _graph(self, size):
        """The captured step of a batch size, or None where that cannot be had."""
        if not (self.cuda and self.settings.graphs):
            return None
        if size not in self.graphs:
            active = self.active.clone()
            self.active.zero_()  # so that steps that warm up change nothing
            side = torch.cuda.Stream(self.device)
            side.wait_stream(torch.cuda.current_stream(self.device))
            try:
                with torch.cuda.stream(side):
                    for _ in range(2):
                        self.step_at.zero_()
                        self._step(size)
                torch.cuda.current_stream(self.device).wait_stream(side)
                torch.cuda.synchronize(self.device)
                graph = torch.cuda.CUDAGraph()
                # Other threads (NCCL's watchdog) may call CUDA meanwhile.
                with torch.cuda.graph(graph, capture_error_mode="thread_local"):
                    self._step(size)
                self.graphs[size] = graph
            except RuntimeError as error:
                self.log(f"no CUDA graph of {size} rows, going on without: {error}")
                self.settings.graphs = False
                return None
            finally:
                self.active.copy_(active)
        return self.graphs[size]

    def _steps(self, size):
        graph = self._graph(size)
        self.step_at.zero_()
        for _ in range(WINDOW):
            graph.replay() if graph else self._step(size)

    def _collect(self, size, done):
        """Takes what the last steps wrote; returns the number of tokens that count."""
        written, tokens = self.written[:size].tolist(), 0
        for row in range(size):
            request = self.rows[row]
            if request is None:
                continue
            before, status = len(request.answer), None
            if before == 1 and request.answer[0] in self.stops:
                status = "ended"
            for token in written[row] if status is None else ():
                request.answer.append(token)
                if token in self.stops:
                    status = "ended"
                    break
                if len(request.answer) >= request.limit:
                    status = "limit"
                    break
            tokens += len(request.answer) - before
            if status is None and len(request.answer) - request.checked >= LOOP_CHECK:
                request.checked = len(request.answer)
                status = "loop" if ends_in_loop(request.answer) else None
            if status:
                done(self._release(row), status)
        return tokens
