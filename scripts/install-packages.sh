#!/usr/bin/env bash
# install-packages.sh [--list-missing] [--lint] [--tests]
#
# Installs the Debian packages that the build needs, and only those that are missing.
#   --list-missing  print their names and install nothing
#   --lint          also those that "make lint" and "make format" need
#   --tests         also those that only the tests need: a browser for the web page, a load balancer
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "$0")/lib.sh"

packages=(
  build-essential cmake ninja-build pkg-config git ccache
  python3 python3-dev python3-venv ca-certificates
  libhwy-dev libfmt-dev nlohmann-json3-dev libcli11-dev libedit-dev
  libgtest-dev libgmock-dev libzip-dev libbenchmark-dev
  libcpp-httplib-dev libssl-dev zlib1g-dev libbrotli-dev
)
list_only=false
for arg in "$@"; do
  case $arg in
    --help | -h) help_and_exit ;;
    --list-missing) list_only=true ;;
    --lint) packages+=(clang-format clang-tidy shellcheck) ;;
    --tests) packages+=(curl nginx-light chromium chromium-driver) ;;
    *) die "unknown argument $arg (try --help)" ;;
  esac
done

if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
  say "this is not Debian: make sure that you have what these packages hold: ${packages[*]}"
  exit 0
fi

missing=()
for package in "${packages[@]}"; do
  status=$(dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null || true)
  [[ $status == installed ]] || missing+=("$package")
done
if $list_only; then
  ((${#missing[@]} == 0)) || printf '%s\n' "${missing[@]}"
  exit 0
fi
((${#missing[@]} > 0)) || exit 0

as_root=()
if ((EUID != 0)); then
  command -v sudo >/dev/null ||
    die "packages are missing and there is no sudo; as root: apt-get install ${missing[*]}"
  as_root=(sudo)
fi
say "installing Debian packages: ${missing[*]}"
"${as_root[@]}" apt-get update -qq
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
  apt-get install --yes --no-install-recommends "${missing[@]}"
