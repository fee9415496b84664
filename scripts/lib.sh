# Shared by the scripts here; sourced, not run.
# shellcheck shell=bash

# What we download, by version and content. CMake reads the llama.cpp version from here too.
LLAMA_CPP_PYTHON_VERSION=0.3.36
# shellcheck disable=SC2034  # used by the scripts that source this file
LLAMA_CPP_PYTHON_SHA256=832db0699007f1be95a7e41ef12e88926b02ba836461e36a36372db2760c1a2e

# shellcheck disable=SC2034
ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
CACHE="${VASE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/vase}"

# Messages go to stderr, so that a script's stdout carries its result alone.
say() { printf '==> %s\n' "$*" >&2; }
die() {
  printf '%s: error: %s\n' "$(basename "$0")" "$*" >&2
  exit 1
}

# --help prints the comment at the top of the script.
help_and_exit() {
  awk 'NR > 1 { if (!/^#/) exit; sub(/^# ?/, ""); print }' "$0"
  exit 0
}

sha256_of() {
  if command -v sha256sum >/dev/null; then
    sha256sum "$1" | cut -d' ' -f1
  else
    shasum -a 256 "$1" | cut -d' ' -f1
  fi
}

has_sha256() { [[ -f $1 && $(sha256_of "$1") == "$2" ]]; }

# lock_cache [NAME]: two makes at once would write the same files, so the second waits for the first.
# NAME: only those that write the same part of the cache; "": all.
lock_cache() {
  mkdir -p "$CACHE"
  command -v flock >/dev/null || return 0
  exec 9>"$CACHE/lock${1:+-$1}"
  flock --nonblock 9 && return 0
  say "another run is filling $CACHE${1:+ with $1}; waiting for it"
  flock 9
}

# ninja_progress LOG COMMAND...: runs a ninja build of somebody else's code. Everything goes to LOG;
# the terminal sees ninja's counter alone, and the end of LOG if the build fails.
ninja_progress() {
  local log=$1
  shift
  if ! "$@" 2>&1 | tee "$log" | show_counter >&2; then
    tail -n 30 "$log" >&2
    die "the build failed (whole log: $log)"
  fi
}

# Of ninja's lines the last one on a terminal; elsewhere one for each tenth of the work. In bash, because
# mawk reads a pipe to the end of its buffer before it shows anything.
show_counter() {
  local line tenth shown=0 start=$SECONDS
  while IFS= read -r line; do
    [[ $line =~ ^\[([0-9]+)/([0-9]+)\] ]] || continue
    tenth=$((10 * BASH_REMATCH[1] / BASH_REMATCH[2]))
    if [[ -t 2 ]]; then
      printf '\r\033[K%.79s' "$line"
    elif ((tenth > shown)); then
      printf '    %3d%%, %d of %d files, %d s\n' $((10 * tenth)) "${BASH_REMATCH[1]}" "${BASH_REMATCH[2]}" \
        $((SECONDS - start))
      shown=$tenth
    fi
  done
  [[ ! -t 2 ]] || echo
}

# make_pip: a Python with pip, PIP_PYTHON. In a virtual environment, because Debian's own pip is often missing
# and never meant to be written to.
PIP_PYTHON="$CACHE/pip-venv/bin/python"
make_pip() {
  "$PIP_PYTHON" -m pip --version >/dev/null 2>&1 && return 0
  rm -rf "$CACHE/pip-venv"
  "${PYTHON:-python3}" -m venv "$CACHE/pip-venv" ||
    die "cannot make a Python virtual environment; on Debian: apt-get install python3-venv"
}

# download PACKAGE VERSION SHA256 FILE PIP-ARGUMENTS...: fetches one file of a PyPI release into the
# folder $CACHE/downloads. pip does it, so that mirrors and proxies set up for pip are used, and it
# checks the checksum before it looks into the file.
download() {
  local package=$1 version=$2 sha256=$3 file=$4
  shift 4
  local part="$CACHE/downloads/$file.part"
  has_sha256 "$CACHE/downloads/$file" "$sha256" && return 0
  make_pip
  say "downloading $package $version from PyPI"
  rm -rf "$part"
  mkdir -p "$part"
  echo "$package==$version --hash=sha256:$sha256" >"$part/requirements.txt"
  "$PIP_PYTHON" -m pip --disable-pip-version-check --no-cache-dir download --no-deps --require-hashes "$@" \
    --dest "$part" --requirement "$part/requirements.txt" >&2 ||
    die "pip could not download $package $version (see above); run again to retry"
  mv "$part/$file" "$CACHE/downloads/$file"
  rm -rf "$part"
}

# The cache's folder for llama.cpp: its name carries the backends, and whether it is for other machines
# too, so that builds live side by side.
llama_flavour() {
  local flavour
  flavour=$(tr -s ', ' '\n' <<<"${VASE_BACKENDS:-}" | sed '/^$/d' | sort -u | paste -sd- -)
  echo "${flavour:-cpu}"
}
llama_dir() {
  echo "$CACHE/llama-$LLAMA_CPP_PYTHON_VERSION-$(llama_flavour)${VASE_PORTABLE:+-portable}"
}
