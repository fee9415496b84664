#!/usr/bin/env bash
# Installs the package with pip into a fresh virtual environment, as a user would, and uses it from there. Run by ctest, which sets
# the variables in capitals. Exits with 77 (skipped) where pip reaches no package index.
set -euo pipefail

work=$(mktemp -d "${TMPDIR:-/tmp}/vase wheel.XXXXXX")
trap 'rm -rf "$work"' EXIT
unset PYTHONPATH

"$PYTHON" -m venv "$work/venv"
pip=("$work/venv/bin/pip" --disable-pip-version-check --quiet)
if ! "${pip[@]}" download --no-deps --dest "$work" scikit-build-core >"$work/log" 2>&1; then
  cat "$work/log" >&2
  echo "pip cannot fetch packages: skipped" >&2
  exit 77
fi
# Without the program: its sources are built and tested elsewhere, and take minutes.
"${pip[@]}" install "$SOURCE_DIR" -C "build-dir=$BUILD_DIR/wheel" -C cmake.define.VASE_PYTHON_PROGRAM=OFF

package=$(cd "$work" && "$work/venv/bin/python" -c 'import vase; print(vase.__path__[0])')
version=$(cd "$work" && "$work/venv/bin/python" -c 'import vase; print(vase.__version__)')
for file in py.typed _vase.pyi include/vase/vase.h "lib/libvase.so.${version%.*}"; do
  [[ -f $package/$file ]] || {
    echo "the wheel has no $file" >&2
    exit 1
  }
done

cd "$work"
"$work/venv/bin/python" - <<'END_OF_PYTHON'
import importlib.metadata

import numpy as np
import vase

assert importlib.metadata.version("vase-kv") == vase.__version__
rows = np.random.default_rng(0).standard_normal((400, 2, 64), dtype=np.float32)
mask = vase.select(rows, rows, policy="vase-cur", budget=256)
assert (mask.sum(axis=1) == 256).all()
assert vase.compact(rows.copy(), rows.copy(), mask, vacate=256) == 144
END_OF_PYTHON

# The command says how to get the program that this wheel was built without.
if out=$("$work/venv/bin/vase" policies 2>&1); then
  echo "expected a failure: $out" >&2
  exit 1
fi
grep -q 'scripts/build-llama.sh' <<<"$out"
