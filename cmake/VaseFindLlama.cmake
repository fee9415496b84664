# Looks for libllama (llama_FOUND): targets llama, ggml::ggml and ggml::ggml-base, headers llama.h,
# ggml.h, gguf.h.
# llama_DIR and CMAKE_PREFIX_PATH come first, then what scripts/build-llama.sh put into the cache
# folder.

file(STRINGS "${PROJECT_SOURCE_DIR}/scripts/lib.sh" _vase_llama_version
     REGEX "^LLAMA_CPP_PYTHON_VERSION=")
string(REGEX REPLACE ".*=" "" _vase_llama_version "${_vase_llama_version}")

# llama.cpp's package caches where its parts lie: forget that when it is another llama.cpp now.
if(DEFINED VASE_LLAMA_DIR_USED AND NOT VASE_LLAMA_DIR_USED STREQUAL "${llama_DIR}")
  unset(ggml_DIR CACHE)
  unset(llama_LIBRARY CACHE)
endif()

find_package(llama QUIET HINTS "${VASE_CACHE_FOLDER}/llama-${_vase_llama_version}-cpu/install")
