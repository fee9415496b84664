#!/usr/bin/env bash
# make-wheel.sh
#
# Writes a wheel of the Python package with the vase program and libllama in it into dist/, for machines that
# have neither a compiler nor this one's processor: libllama's kernels are there for each generation of CPUs,
# and all libraries but the C and C++ ones are inside. Its name says for which Python and from which glibc on
# (auditwheel reads that off the symbols that it uses).
#
#   PYTHON=python3   the Python to build for; from 3.12 on the wheel is good for later ones too
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "$0")/lib.sh"
[[ ${1:-} != --help ]] || help_and_exit
(($# == 0)) || die "unknown argument $1 (try --help)"
[[ $(uname -s) == Linux ]] || die "only for Linux: pip install . builds a wheel for this machine anywhere"

"$ROOT/scripts/install-packages.sh"
# Not whatever llama.cpp lies under CMAKE_PREFIX_PATH: one that runs elsewhere.
unset CMAKE_PREFIX_PATH VASE_BACKENDS
export VASE_PORTABLE=1
"$ROOT/scripts/build-llama.sh"

python=${PYTHON:-python3}
venv="$CACHE/wheel-venv-$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')"
requirements="$ROOT/scripts/wheel-requirements.txt"
if ! cmp -s "$requirements" "$venv/requirements.txt"; then
  say "installing the tools for wheels into $venv"
  rm -rf "$venv"
  "$python" -m venv "$venv" ||
    die "cannot make a Python virtual environment; on Debian: apt-get install python3-venv"
  "$venv/bin/pip" --disable-pip-version-check --no-cache-dir --quiet install --requirement "$requirements" ||
    die "pip could not install what make-wheel.sh needs (see above); run again to retry"
  cp "$requirements" "$venv/requirements.txt"
fi

cd "$ROOT"
work="$ROOT/build/wheel-portable"
mkdir -p "$work/raw"
rm -f "$work"/raw/*.whl
say "building the wheel in $work (whole log: $work/build.log)"
"$venv/bin/pip" --disable-pip-version-check wheel . --verbose --no-deps --no-build-isolation --wheel-dir "$work/raw" \
  -C "build-dir=$work/{wheel_tag}" -C cmake.define.VASE_PYTHON_PROGRAM=ON -C cmake.define.VASE_SIMD=ON \
  -C "cmake.define.llama_DIR=$(scripts/find-llama.sh)" 2>&1 | tee "$work/build.log" |
  sed -un 's/^ *\(\[[0-9]*\/[0-9]*\]\)/\1/p' | show_counter >&2 || {
  tail -n 30 "$work/build.log" >&2
  die "the wheel cannot be built (whole log: $work/build.log)"
}
PATH="$venv/bin:$PATH" "$venv/bin/auditwheel" --verbose repair --wheel-dir dist "$work"/raw/*.whl >"$work/auditwheel.log" 2>&1 || {
  tail -n 30 "$work/auditwheel.log" >&2
  die "auditwheel cannot make the wheel one for other machines (whole log: $work/auditwheel.log)"
}
wheel=$(sed -n 's/^Fixed-up wheel written to //p' "$work/auditwheel.log")
"$venv/bin/python" scripts/wheel_licences.py "$wheel" "$work/auditwheel.log" "$(llama_dir)/src" >&2
say "the wheel is ready: $wheel ($(du -h "$wheel" | cut -f1))"
echo "$wheel"
