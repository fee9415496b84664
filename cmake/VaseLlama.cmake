# Finds libllama: targets llama, ggml::ggml and ggml::ggml-base, headers llama.h, ggml.h, gguf.h.
# CMAKE_PREFIX_PATH comes first, then the build of scripts/build-llama.sh in the cache folder.

if(DEFINED ENV{VASE_CACHE})
  set(_vase_cache "$ENV{VASE_CACHE}")
elseif(DEFINED ENV{XDG_CACHE_HOME})
  set(_vase_cache "$ENV{XDG_CACHE_HOME}/vase")
else()
  set(_vase_cache "$ENV{HOME}/.cache/vase")
endif()
set(_vase_llama_hint "${_vase_cache}/llama-0.3.36-cpu/install")

find_package(llama QUIET HINTS "${_vase_llama_hint}")
if(NOT llama_FOUND)
  message(
    FATAL_ERROR
      "libllama was not found. One of these helps:\n"
      "  scripts/build-llama.sh                   builds it into ${_vase_cache}\n"
      "  CMAKE_PREFIX_PATH=/path/to/llama.cpp     uses yours\n"
      "  -DVASE_BUILD_LLAMA=OFF                   builds libvase alone")
endif()
message(STATUS "vase: libllama ${LLAMA_VERSION} from ${LLAMA_LIB_DIR}")
