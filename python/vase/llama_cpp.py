"""A bounded KV cache in llama-cpp-python, unmodified: what ``vase exec`` is to programs.

    import vase.llama_cpp
    vase.llama_cpp.bound(budget=4096)          # before llama_cpp is imported for the first time
    from llama_cpp import Llama
    model = Llama("qwen.gguf", n_ctx=131072)   # as long as you like: the cache holds 4,096 rows

or, without a change to the script (what stands before ``--`` is for ``vase exec``, see its --help)::

    python -m vase.llama_cpp --budget 4096 -- script.py arguments
    python -m vase.llama_cpp --budget 4096 -- -m llama_cpp.server --model qwen.gguf

llama-cpp-python finds libllama's functions by ctypes. While it is imported, those that bound the cache are put in front of
libllama's own. Linux only; the llama.cpp inside llama-cpp-python must be the one that vase was built for.
"""

from __future__ import annotations

import ctypes
import os
import runpy
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from vase.program import find_program

__all__ = ["bound"]

_VARIABLE = "VASE_EXEC"


def bound(**options: object) -> None:
    """Bounds the cache of every context that llama-cpp-python makes in this process from now on.

    options: as ``vase exec`` has them, with underscores: budget, policy, pin_prompt, recency, seed, ... Imports llama_cpp.
    Raises RuntimeError, in one line, if llama_cpp was imported before, if an option is refused, or if its libllama is not
    the one that vase was built for.
    """
    arguments = [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
    _bound(arguments)


def _bound(arguments: list[str]) -> None:
    if "llama_cpp" in sys.modules:
        raise RuntimeError("llama_cpp was imported before: call vase.llama_cpp.bound() first")
    library, settings = _ask_program(arguments)
    os.environ[_VARIABLE] = settings
    with _in_front(library):
        import llama_cpp  # noqa: F401, PLC0415


def _ask_program(arguments: list[str]) -> tuple[str, str]:
    """The library and its settings, as the program prints them."""
    environment = {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}
    asked = subprocess.run([find_program(), "exec", "--print-env", *arguments], capture_output=True, text=True, check=False,
                           env=environment)
    if asked.returncode != 0:
        raise RuntimeError(asked.stderr.strip())
    variables = dict(line.split("=", 1) for line in asked.stdout.splitlines())
    return variables["LD_PRELOAD"], variables[_VARIABLE]


@contextmanager
def _in_front(library: str) -> Iterator[None]:
    """While it lasts, whoever loads libllama by ctypes gets it with the library's functions in front."""
    load = ctypes.CDLL

    def load_in_front(name: object, *args: object, **kwargs: object) -> ctypes.CDLL:
        if not Path(str(name)).name.startswith("libllama."):
            return load(name, *args, **kwargs)
        kwargs["mode"] = ctypes.RTLD_GLOBAL  # the library looks for libllama's functions there
        return _Fronted(lambda: load(library), name, *args, **kwargs)

    ctypes.CDLL = load_in_front  # type: ignore[misc, assignment]
    try:
        yield
    finally:
        ctypes.CDLL = load  # type: ignore[misc]


class _Fronted(ctypes.CDLL):
    """libllama, whose functions are taken from another library where that has them."""

    def __init__(self, load_front: Callable[[], ctypes.CDLL], *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)
        self._front = load_front()  # after what it stands in front of

    def __getitem__(self, name: str) -> object:
        try:
            return self._front[name]
        except AttributeError:
            return super().__getitem__(name)


def main() -> None:
    """Runs a script or a module with the cache bounded: see the top of this file."""
    arguments = sys.argv[1:]
    if "--" not in arguments:
        sys.exit("vase.llama_cpp: no script given: python -m vase.llama_cpp --budget 4096 -- script.py")
    ours, theirs = arguments[: arguments.index("--")], arguments[arguments.index("--") + 1 :]
    if not theirs or theirs == ["-m"]:
        sys.exit("vase.llama_cpp: no script behind --")
    try:
        _bound(ours)
    except (RuntimeError, ImportError) as error:
        sys.exit(f"vase.llama_cpp: {error}")
    if theirs[0] == "-m":
        sys.argv = theirs[1:]
        runpy.run_module(theirs[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv = theirs
        sys.path[0] = str(Path(theirs[0]).resolve().parent)
        runpy.run_path(theirs[0], run_name="__main__")


if __name__ == "__main__":
    main()
