#!/usr/bin/env bash
# run_pytest.sh FOLDER: runs its tests in the environment that scripts/make-test-venv.sh makes; exits
# with 77 (skipped) if that was not done.
set -euo pipefail
python="${VASE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/vase}/test-venv/bin/python"
if [[ ! -x $python ]]; then
  echo "no $python: scripts/make-test-venv.sh makes it" >&2
  exit 77
fi
exec "$python" -m pytest -p no:cacheprovider -q --durations=5 "$1"
