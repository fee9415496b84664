#!/usr/bin/env bash
# rpc.sh: a model whose layers are in a ggml-rpc-server answers as it does here; exits with 77 (skipped) if libllama has no RPC backend.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
# shellcheck disable=SC2154  # ctest says it
prefix=$(cd "$llama_DIR/../../.." && pwd)
folder=$(mktemp -d)
trap 'rm -r "$folder"' EXIT
"$VASE_WRITE_MODEL" "$folder/tiny.gguf" chatml
PATH="$prefix/../build/bin:$prefix/bin:$PATH" "$VASE_PYTHON" "$root/bench/rpc.py" --check --model "$folder/tiny.gguf" \
  --budget 128 --answer 400 --threads 2
