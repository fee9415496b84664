#!/usr/bin/env bash
# Installs the build into a temporary prefix, builds the examples against that prefix alone, runs
# them and looks at what they print. Run by ctest, which sets the variables in capitals.
set -euo pipefail

# No space saver: a prefix with a space finds quoting mistakes.
work=$(mktemp -d "${TMPDIR:-/tmp}/vase install.XXXXXX")
trap 'rm -rf "$work"' EXIT
unset CMAKE_PREFIX_PATH LD_LIBRARY_PATH

expect() { # expect PATTERN TEXT
  grep -Eq -- "$1" <<<"$2" && return 0
  printf 'expected /%s/ in:\n%s\n' "$1" "$2" >&2
  exit 1
}

run() { # run COMMAND...: keeps and shows what it prints
  out=$("$@" 2>&1) || {
    printf 'failed: %s\n%s\n' "$*" "$out" >&2
    exit 1
  }
  echo "$out"
}

build_example() { # build_example NAME
  local flags=()
  [[ -z $SANITIZE ]] || flags=("-DCMAKE_C_FLAGS=-fsanitize=$SANITIZE"
    "-DCMAKE_CXX_FLAGS=-fsanitize=$SANITIZE")
  "$CMAKE" -G Ninja -S "$SOURCE_DIR/examples/$1" -B "$work/$1" \
    -DCMAKE_PREFIX_PATH="$work/prefix" ${flags[@]+"${flags[@]}"}
  "$CMAKE" --build "$work/$1"
}

"$CMAKE" --install "$BUILD_DIR" --prefix "$work/prefix"
[[ -f $work/prefix/include/vase/vase.h ]]

build_example embed-c
run "$work/embed-c/embed_c"
expect '^vase [0-9]+\.[0-9]+\.[0-9]+$' "$out"
expect '^head 1 keeps 128 of 144 rows' "$out"

if [[ $WITH_PROGRAM == 1 ]]; then
  run "$work/prefix/bin/vase" policies
  expect 'snapkv' "$out"
fi

if [[ $WITH_LLAMA == 1 ]]; then
  build_example embed-llama
  cache="${VASE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/vase}"
  model="$cache/models/SmolLM2-135M-Instruct.Q4_1.gguf"
  if [[ -f $model ]]; then
    run "$work/embed-llama/embed_llama" "$model" "Once upon a time" 400
    expect '^40[0-9] tokens, [23][0-9][0-9] rows a head, [1-9][0-9]* evictions$' "$out"
  else
    out=$("$work/embed-llama/embed_llama" /no/such/model.gguf x 1 2>&1) && exit 1
    expect 'cannot load' "$out"
    echo "embed-llama was built, but not run on a model: scripts/fetch-model.sh gets one"
  fi
fi
