#!/usr/bin/env bash
# build-llama.sh
#
# Builds libllama once, from the llama.cpp that the PyPI package llama-cpp-python carries, into
#   ${VASE_CACHE:-~/.cache/vase}/llama-VERSION-BACKENDS/install
# It takes some minutes; interrupted, it goes on where it stopped. A llama.cpp of your own is used
# instead when CMAKE_PREFIX_PATH leads to it, and then nothing is downloaded.
#
#   VASE_BACKENDS=cuda,vulkan   backends besides the CPU, by ggml's names (cuda, hip, metal, opencl,
#                               sycl, vulkan, ...); their SDKs must be installed
#   CUDAARCHS=90                for cuda: compute capabilities, as CMake reads them (default: that
#                               of the GPUs of this machine; 90 if there are none)
#   CUDACXX=/path/to/nvcc       for cuda, if nvcc is neither on PATH nor in /usr/local/cuda/bin
#   VASE_PORTABLE=1             for other machines than this: kernels for each generation of CPUs, of
#                               which the best is loaded at run time (what "make wheel" packs)
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "$0")/lib.sh"
[[ ${1:-} != --help ]] || help_and_exit
(($# == 0)) || die "unknown argument $1 (try --help)"

dir=$(llama_dir)
if found=$("$ROOT/scripts/find-llama.sh") && [[ $found != "$dir/"* ]]; then
  say "using your llama.cpp: $found"
  exit 0
fi
[[ -z ${CMAKE_PREFIX_PATH:-} ]] || say "no llama-config.cmake under CMAKE_PREFIX_PATH; using our own"

options=(
  -DCMAKE_BUILD_TYPE=Release -DBUILD_SHARED_LIBS=ON
  # The installed libraries find each other wherever the folder lies.
  "-DCMAKE_INSTALL_RPATH=\$ORIGIN"
  # No AMX: its tile configuration is optimised away by GCC up to 12, and then any quantised model
  # crashes on a CPU that has AMX (llama.cpp issue 20824, pull request 26954).
  -DCMAKE_C_FLAGS=-U__AMX_INT8__ -DCMAKE_CXX_FLAGS=-U__AMX_INT8__
  # llama-common writes chat templates (src/jinja).
  -DLLAMA_BUILD_COMMON=ON -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_TOOLS=OFF
  -DLLAMA_BUILD_EXAMPLES=OFF -DLLAMA_BUILD_SERVER=OFF -DLLAMA_BUILD_APP=OFF -DLLAMA_OPENSSL=OFF
)
flavour=$(llama_flavour)
if [[ $flavour != cpu ]]; then
  for backend in ${flavour//-/ }; do
    options+=("-DGGML_${backend^^}=ON")
  done
fi
if [[ -$flavour- == *-cuda-* ]]; then
  nvcc=${CUDACXX:-$(PATH="$PATH:/usr/local/cuda/bin" command -v nvcc)} ||
    die "VASE_BACKENDS=cuda: there is no nvcc on PATH or in /usr/local/cuda/bin; install the CUDA toolkit (12.8 or newer) or set CUDACXX"
  archs=90
  if nvidia-smi -L >/dev/null 2>&1; then archs=native; fi
  options+=("-DCMAKE_CUDA_COMPILER=$nvcc" "-DCMAKE_CUDA_ARCHITECTURES=${CUDAARCHS:-$archs}")
fi

if [[ -n ${VASE_PORTABLE:-} ]]; then
  options+=(-DGGML_NATIVE=OFF -DGGML_BACKEND_DL=ON -DGGML_CPU_ALL_VARIANTS=ON)
fi

# The install folder is put in place as a whole: if it is there with this stamp, it is complete.
stamp="$dir/install/vase-options.txt"
is_complete() { [[ -f $stamp && $(<"$stamp") == "${options[*]}" ]]; }
! is_complete || exit 0
lock_cache ""
! is_complete || exit 0 # another run has built it in the meantime

if [[ ! -d $dir/src ]]; then
  file="llama_cpp_python-$LLAMA_CPP_PYTHON_VERSION.tar.gz"
  mkdir -p "$CACHE/downloads"
  download llama-cpp-python "$LLAMA_CPP_PYTHON_VERSION" "$LLAMA_CPP_PYTHON_SHA256" "$file" \
    --no-binary llama-cpp-python
  inside="llama_cpp_python-$LLAMA_CPP_PYTHON_VERSION/vendor/llama.cpp"
  for backend in ${flavour//-/ }; do
    tar -xzOf "$CACHE/downloads/$file" "$inside/ggml/CMakeLists.txt" |
      grep "option(GGML_${backend^^} " >/dev/null ||
      die "VASE_BACKENDS: llama.cpp has no backend named '$backend'"
  done
  say "unpacking llama.cpp"
  rm -rf "$dir/src.part"
  mkdir -p "$dir/src.part"
  tar -xzf "$CACHE/downloads/$file" -C "$dir/src.part" --strip-components=3 "$inside"
  mv "$dir/src.part" "$dir/src"
fi

say "building llama.cpp ($flavour) in $dir: some minutes, once"
cmake -S "$dir/src" -B "$dir/build" -G Ninja -DCMAKE_INSTALL_PREFIX="$dir/install" \
  "${options[@]}" >"$dir/configure.log" 2>&1 || {
  tail -n 30 "$dir/configure.log" >&2
  die "llama.cpp cannot be configured (whole log: $dir/configure.log)"
}
ninja_progress "$dir/build.log" cmake --build "$dir/build"
rm -rf "$dir/install.part" "$dir/install.old"
cmake --install "$dir/build" --prefix "$dir/install.part" >/dev/null
echo "${options[*]}" >"$dir/install.part/vase-options.txt"
[[ ! -d $dir/install ]] || mv "$dir/install" "$dir/install.old"
mv "$dir/install.part" "$dir/install"
rm -rf "$dir/install.old"
say "llama.cpp is ready in $dir/install"
