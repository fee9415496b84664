#!/usr/bin/env bash
# run_pytest.sh FOLDER [torch]: runs its tests in the environment that scripts/make-test-venv.sh makes
# (with --torch if so said); exits with 77 (skipped) if that was not done.
set -euo pipefail
venv="${VASE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/vase}/${2:-test}-venv"
if [[ ! -x $venv/bin/python ]]; then
  echo "no $venv: scripts/make-test-venv.sh ${2:+--$2 }makes it" >&2
  exit 77
fi
exec "$venv/bin/python" -m pytest -p no:cacheprovider -q --durations=5 "$1"
