#!/usr/bin/env bash
# fetch-nanobind.sh
#
# Fetches nanobind, with which the Python package's extension module is written, from PyPI into
# ${VASE_CACHE:-~/.cache/vase}/nanobind. pip brings its own when it builds the package.
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "$0")/lib.sh"
[[ ${1:-} != --help ]] || help_and_exit
(($# == 0)) || die "unknown argument $1 (try --help)"

version=3.1.0
sha256=96984dbe8154ffb86e653b1b60aaeed6985c710c5e75ad0279eb87943c66292d

dir="$CACHE/nanobind"
lock_cache ""
[[ ! -f $dir/version || $(<"$dir/version") != "$version" ]] || exit 0
wheel="nanobind-$version-py3-none-any.whl"
mkdir -p "$CACHE/downloads"
download nanobind "$version" "$sha256" "$wheel"
rm -rf "$dir.part" "$dir"
"${PYTHON:-python3}" -m zipfile -e "$CACHE/downloads/$wheel" "$dir.part"
echo "$version" >"$dir.part/version"
mv "$dir.part" "$dir"
rm "$CACHE/downloads/$wheel"
say "nanobind $version is ready in $dir"
