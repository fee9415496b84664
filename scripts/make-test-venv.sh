#!/usr/bin/env bash
# make-test-venv.sh [--torch | --ray]
#
# Makes the Python environment of the tests that are written in Python, in
#   ${VASE_CACHE:-~/.cache/vase}/test-venv
# and brings it up to date when a tests/*/requirements.txt has changed. With --torch: that of the tests
# that need torch, in torch-venv beside it (5 GB, because PyPI's torch brings CUDA along). With --ray: that of
# the tests of vase.ray, in ray-venv (0.5 GB).
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "$0")/lib.sh"
[[ ${1:-} != --help ]] || help_and_exit
venv="$CACHE/test-venv"
requirements=("$ROOT"/tests/*/requirements.txt)
if [[ ${1:-} == --torch || ${1:-} == --ray ]]; then
  venv="$CACHE/${1#--}-venv"
  requirements=("$ROOT"/tests/*/requirements"${1#-}".txt)
  shift
fi
(($# == 0)) || die "unknown argument $1 (try --help)"
stamp=$(cat "${requirements[@]}")
lock_cache ""
if [[ -f $venv/stamp && $(<"$venv/stamp") == "$stamp" ]]; then
  exit 0
fi
say "installing the Python packages of the tests into $venv"
rm -rf "$venv"
"${PYTHON:-python3}" -m venv "$venv" ||
  die "cannot make a Python virtual environment; on Debian: apt-get install python3-venv"
"$venv/bin/pip" --disable-pip-version-check --no-cache-dir --quiet install \
  "${requirements[@]/#/--requirement=}" ||
  die "pip could not install what the tests need (see above); run again to retry"
echo "$stamp" >"$venv/stamp"
