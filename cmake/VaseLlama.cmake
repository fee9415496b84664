# libllama, or an error that says how to get it.

include(VaseFindLlama)
if(NOT llama_FOUND)
  message(
    FATAL_ERROR
      "libllama was not found. One of these helps:\n"
      "  scripts/build-llama.sh                   builds it into ${VASE_CACHE_FOLDER}\n"
      "  CMAKE_PREFIX_PATH=/path/to/llama.cpp     uses yours\n"
      "  -DVASE_BUILD_LLAMA=OFF                   builds libvase alone")
endif()
# libggml-cuda wants the driver's libcuda.so.1, which a machine that only builds need not have.
set(VASE_LLAMA_LINK_OPTIONS "")
if(TARGET ggml::ggml-cuda AND CMAKE_SYSTEM_NAME STREQUAL "Linux")
  set(VASE_LLAMA_LINK_OPTIONS "LINKER:--allow-shlib-undefined")
  target_link_options(llama INTERFACE ${VASE_LLAMA_LINK_OPTIONS})
endif()
set(VASE_LLAMA_DIR_USED "${llama_DIR}" CACHE INTERNAL "The llama.cpp of the last configuration")
message(STATUS "vase: libllama from ${LLAMA_LIB_DIR}")
