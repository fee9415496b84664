#!/usr/bin/env bash
# build-llama-programs.sh [PROGRAM...]
#
# Builds programs of the llama.cpp that build-llama.sh has built libllama from, unmodified, beside it:
# llama-server and others, which `vase exec` is tested with, and test-llama-archs, which writes tiny models
# of every architecture. Some ten minutes, once; interrupted, it goes on where it stopped. Or those that are
# named: ggml-rpc-server, which VASE_BACKENDS=rpc has. Prints their folder. With a llama.cpp of your own (CMAKE_PREFIX_PATH) its programs are taken, and nothing is built.
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "$0")/lib.sh"
[[ ${1:-} != --help ]] || help_and_exit
[[ ${1:-} != -* ]] || die "unknown option $1 (try --help)"

programs=(llama-server llama-cli llama-completion llama-bench llama-perplexity test-llama-archs)
(($# == 0)) || programs=("$@")
"$ROOT/scripts/build-llama.sh"
dir=$(llama_dir)
if found=$("$ROOT/scripts/find-llama.sh") && [[ $found != "$dir/"* ]]; then
  bin=$(cd "$found/../../.." && pwd)/bin
  for program in "${@:-llama-server}"; do
    [[ -x $bin/$program ]] || die "your llama.cpp has no $program in $bin: build it with its programs"
  done
  echo "$bin"
  exit 0
fi

# In a folder of its own that shares libllama's objects by ccache would be cleaner, but takes twice as long
# without one: these are more targets of the same build.
bin="$dir/build/bin"
names=${programs[*]}
stamp="$dir/build/vase-programs${1:+-${names// /-}}.txt"
is_complete() { [[ -f $stamp && $(<"$stamp") == "${programs[*]}" ]]; }
if ! is_complete; then
  lock_cache ""
  if ! is_complete; then
    say "building ${programs[*]}: minutes, once"
    cmake -S "$dir/src" -B "$dir/build" -DLLAMA_BUILD_TESTS=ON -DLLAMA_BUILD_TOOLS=ON \
      -DLLAMA_BUILD_SERVER=ON -DLLAMA_BUILD_UI=OFF -DLLAMA_USE_PREBUILT_UI=OFF \
      >"$dir/configure-programs.log" 2>&1 || {
      tail -n 30 "$dir/configure-programs.log" >&2
      die "llama.cpp's programs cannot be configured (whole log: $dir/configure-programs.log)"
    }
    ninja_progress "$dir/build-programs.log" ninja -C "$dir/build" "${programs[@]}"
    echo "${programs[*]}" >"$stamp"
  fi
fi
echo "$bin"
