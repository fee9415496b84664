"""Puts the licence texts of what a wheel carries into it:

    wheel_licences.py WHEEL AUDITWHEEL_LOG LLAMA_SOURCE

Libraries that auditwheel has put in (its log names them) and headers that were compiled in are looked up with dpkg:
their texts are those of Debian's packages. That of nanobind comes with this Python's package.
"""

import base64
import csv
import hashlib
import importlib.metadata
import io
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

HEADERS = ("nlohmann-json3-dev", "libcli11-dev")  # compiled in; fmt and Highway are libraries as well


def package_of(library):
    """The Debian package that a library's file belongs to."""
    real = os.path.realpath(library)
    for path in (real, real.removeprefix("/usr")):
        found = subprocess.run(["dpkg", "-S", path], capture_output=True, text=True)
        if found.returncode == 0:
            return found.stdout.split(":")[0]
    sys.exit(f"wheel_licences.py: no Debian package has {real}, so its licence is not known")


def text_of(package):
    path = Path("/usr/share/doc", package, "copyright")
    if not path.is_file():
        sys.exit(f"wheel_licences.py: {path} is not there; the licence of {package} belongs into the wheel")
    text = path.read_bytes()
    # Of common licences the package names only where Debian has them.
    for name in sorted(set(re.findall(rb"/usr/share/common-licenses/([\w.+-]*\w)", text))):
        text += b"\n----- " + name + b" -----\n\n" + Path("/usr/share/common-licenses", name.decode()).read_bytes()
    return text


def licences(log, llama):
    """-> name of the text, text"""
    grafted = re.findall(r"Grafting: (\S+) ->", log)
    packages = sorted({package_of(library) for library in grafted} | set(HEADERS))
    texts = {f"{package}.txt": text_of(package) for package in packages}
    for licence in [llama / "LICENSE", *sorted((llama / "licenses").glob("LICENSE*"))]:
        texts[f"llama.cpp-{licence.name}.txt"] = licence.read_bytes()
    nanobind = next(f for f in importlib.metadata.files("nanobind") if f.name == "LICENSE")
    texts["nanobind.txt"] = nanobind.read_binary()
    return texts


def add(wheel, texts):
    """Writes the wheel anew, with the texts beside its own licence and in its RECORD."""
    with zipfile.ZipFile(wheel) as old:
        entries = [(info, old.read(info)) for info in old.infolist()]
    record = next(info for info, _ in entries if info.filename.endswith(".dist-info/RECORD"))
    folder = record.filename.removesuffix("RECORD") + "licenses/"
    lines = io.StringIO()
    writer = csv.writer(lines, lineterminator="\n")
    new = wheel.with_suffix(".part")
    with zipfile.ZipFile(new, "w", zipfile.ZIP_DEFLATED) as out:
        for info, content in entries:
            if info is not record:
                out.writestr(info, content)
        for name, text in texts.items():
            out.writestr(folder + name, text)
            digest = base64.urlsafe_b64encode(hashlib.sha256(text).digest()).rstrip(b"=").decode()
            writer.writerow([folder + name, f"sha256={digest}", len(text)])
        own = next(content for info, content in entries if info is record).decode()
        out.writestr(record, lines.getvalue() + own)
    new.replace(wheel)


def check_complete(wheel, log):
    """auditwheel's log says what it has put in only if it is told to; none may be overlooked."""
    with zipfile.ZipFile(wheel) as file:
        libraries = [name for name in file.namelist() if re.search(r"\.libs/[^/]+$", name)]
    unnamed = [name for name in libraries if f"-> {name}" not in log]
    if unnamed:
        sys.exit(f"wheel_licences.py: auditwheel's log does not say where these came from: {', '.join(unnamed)}")


if __name__ == "__main__":
    wheel, log, llama = map(Path, sys.argv[1:])
    check_complete(wheel, log.read_text())
    found = licences(log.read_text(), llama)
    add(wheel, found)
    print(f"licences in the wheel: {', '.join(found)}")
