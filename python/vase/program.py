"""The vase program, as the wheel carries it."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

PROGRAM = Path(__file__).parent / "bin" / "vase"


def find_program() -> str:
    """The path of a vase program: VASE_PROGRAM, that of the wheel, or the one on the PATH. Raises RuntimeError if there is none."""
    program = os.environ.get("VASE_PROGRAM") or (str(PROGRAM) if PROGRAM.exists() else shutil.which("vase"))
    if program is None:
        raise RuntimeError("there is no vase program: install vase from its wheel, or put vase on the PATH")
    return program


def main() -> None:
    """Becomes the program. Exits with 1 if this wheel was built without it."""
    if not PROGRAM.exists():
        sys.exit(
            "vase: this installation has no vase program, because libllama was not found when it was built.\n"
            "From a checkout of vase.cpp: scripts/build-llama.sh builds libllama (minutes, once), then\n"
            "pip install --force-reinstall . brings the program along; make build builds it without Python."
        )
    # What the program does in Python (grading, pictures) uses the packages installed beside it.
    os.environ.setdefault("VASE_PYTHON", sys.executable)
    os.execv(PROGRAM, [str(PROGRAM), *sys.argv[1:]])


if __name__ == "__main__":
    main()
