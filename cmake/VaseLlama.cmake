# Finds libllama: targets llama, ggml::ggml and ggml::ggml-base, headers llama.h, ggml.h, gguf.h.
# llama_DIR and CMAKE_PREFIX_PATH come first, then what scripts/build-llama.sh put into the cache
# folder.

file(STRINGS "${PROJECT_SOURCE_DIR}/scripts/lib.sh" _vase_llama_version
     REGEX "^LLAMA_CPP_PYTHON_VERSION=")
string(REGEX REPLACE ".*=" "" _vase_llama_version "${_vase_llama_version}")

if(NOT "$ENV{VASE_CACHE}" STREQUAL "")
  set(_vase_cache "$ENV{VASE_CACHE}")
elseif(NOT "$ENV{XDG_CACHE_HOME}" STREQUAL "")
  set(_vase_cache "$ENV{XDG_CACHE_HOME}/vase")
else()
  set(_vase_cache "$ENV{HOME}/.cache/vase")
endif()

# llama.cpp's package caches where its parts lie: forget that when it is another llama.cpp now.
if(DEFINED VASE_LLAMA_DIR_USED AND NOT VASE_LLAMA_DIR_USED STREQUAL "${llama_DIR}")
  unset(ggml_DIR CACHE)
  unset(llama_LIBRARY CACHE)
endif()

find_package(llama QUIET HINTS "${_vase_cache}/llama-${_vase_llama_version}-cpu/install")
if(NOT llama_FOUND)
  message(
    FATAL_ERROR
      "libllama was not found. One of these helps:\n"
      "  scripts/build-llama.sh                   builds it into ${_vase_cache}\n"
      "  CMAKE_PREFIX_PATH=/path/to/llama.cpp     uses yours\n"
      "  -DVASE_BUILD_LLAMA=OFF                   builds libvase alone")
endif()
set(VASE_LLAMA_DIR_USED "${llama_DIR}" CACHE INTERNAL "The llama.cpp of the last configuration")
message(STATUS "vase: libllama from ${LLAMA_LIB_DIR}")
