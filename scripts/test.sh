#!/usr/bin/env bash
# test.sh [PRESET]
#
# Builds one CMake preset (release by default) and runs its tests; the last lines are the verdict.
#
#   VASE_TEST_TORCH=1   also makes the environment of the tests that need torch (5 GB); once it is
#                       there they always run
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "$0")/lib.sh"
[[ ${1:-} != --help ]] || help_and_exit

preset=${1:-release}
"$ROOT/scripts/build.sh" "$preset"
cd "$ROOT"
if [[ $preset != tsan ]]; then
  scripts/install-packages.sh --tests
  scripts/make-test-venv.sh
  scripts/make-test-venv.sh --ray || say "no Ray: the tests of vase.ray are skipped"
  [[ ${VASE_TEST_TORCH:-} != 1 ]] || scripts/make-test-venv.sh --torch
  scripts/build-llama-programs.sh >/dev/null || say "no programs of llama.cpp: the tests of vase exec are skipped"
fi
if [[ $preset != tsan ]]; then
  scripts/fetch-model.sh >/dev/null || say "no default model: the tests that run it are skipped"
fi
say "running the tests of build/$preset"
ctest --preset "$preset" --parallel "$(getconf _NPROCESSORS_ONLN)"
