# Language level, visibility, run paths, warnings and sanitizers for all our targets.

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_C_STANDARD 11)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
# A shared libvase exports its C interface alone, except where our own rooms above it and the tests
# reach into it.
if(NOT BUILD_SHARED_LIBS OR NOT (VASE_BUILD_LLAMA OR VASE_BUILD_TESTS))
  set(CMAKE_CXX_VISIBILITY_PRESET hidden)
  set(CMAKE_C_VISIBILITY_PRESET hidden)
  set(CMAKE_VISIBILITY_INLINES_HIDDEN ON)
endif()

# Installed programs find our libraries next to them and libllama where it was at build time.
if(APPLE)
  set(CMAKE_INSTALL_RPATH "@loader_path/../${CMAKE_INSTALL_LIBDIR}")
else()
  set(CMAKE_INSTALL_RPATH "$ORIGIN/../${CMAKE_INSTALL_LIBDIR}")
endif()
set(CMAKE_INSTALL_RPATH_USE_LINK_PATH ON)

if(PROJECT_IS_TOP_LEVEL)
  set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
  if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
    set(CMAKE_BUILD_TYPE Release CACHE STRING "Build type" FORCE)
  endif()
  find_program(VASE_CCACHE ccache)
  mark_as_advanced(VASE_CCACHE)
  if(VASE_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
    set(CMAKE_C_COMPILER_LAUNCHER "${VASE_CCACHE}")
    set(CMAKE_CXX_COMPILER_LAUNCHER "${VASE_CCACHE}")
  endif()
endif()

# Every target of ours links this PRIVATE. It is part of the exported set (empty there), because
# CMake records even private links of a static library.
add_library(vase_warnings INTERFACE)
set(_vase_warnings -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion -Wundef
                   -Wcast-align -Wformat=2 $<$<COMPILE_LANGUAGE:CXX>:-Wnon-virtual-dtor>
                   $<$<COMPILE_LANGUAGE:CXX>:-Woverloaded-virtual>)
# GCC 12 sees overlapping copies in std::string that are not there (GCC bug 105651).
list(APPEND _vase_warnings
     $<$<AND:$<COMPILE_LANG_AND_ID:CXX,GNU>,$<VERSION_LESS:$<CXX_COMPILER_VERSION>,13>>:-Wno-restrict>)
if(VASE_SANITIZE)
  # Instrumented code makes GCC see uninitialised values in the standard library.
  list(APPEND _vase_warnings $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>)
endif()
if(VASE_WERROR)
  list(APPEND _vase_warnings -Werror)
endif()
target_compile_options(
  vase_warnings
  INTERFACE
    "$<BUILD_INTERFACE:$<$<AND:$<COMPILE_LANGUAGE:C,CXX>,$<CXX_COMPILER_ID:GNU,Clang,AppleClang>>:${_vase_warnings}>>")

if(VASE_CUDA)
  # Hopper unless said otherwise (-DCMAKE_CUDA_ARCHITECTURES, or CUDAARCHS in the environment), which
  # is what the kernels are tuned for and tested on.
  if(NOT DEFINED CMAKE_CUDA_ARCHITECTURES AND NOT DEFINED ENV{CUDAARCHS})
    set(CMAKE_CUDA_ARCHITECTURES 90)
  endif()
  if(NOT DEFINED CMAKE_CUDA_COMPILER AND NOT DEFINED ENV{CUDACXX})
    find_program(CMAKE_CUDA_COMPILER nvcc HINTS /usr/local/cuda/bin)
  endif()
  enable_language(CUDA)
  foreach(_vase_arch IN LISTS CMAKE_CUDA_ARCHITECTURES)
    string(REGEX MATCH "^[0-9]+" _vase_capability "${_vase_arch}")
    if(_vase_capability AND _vase_capability LESS 80)
      message(FATAL_ERROR "The kernels multiply on tensor cores as they are since Ampere, and "
                          "CMAKE_CUDA_ARCHITECTURES has ${_vase_arch}: take 80 or more, or leave "
                          "out VASE_CUDA (evictions then work on host copies of the rows).")
    endif()
  endforeach()
  if(NOT DEFINED CMAKE_CUDA20_STANDARD_COMPILE_OPTION)
    set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION "-std=c++20") # CMake before 3.26 does not know it
  endif()
  set(CMAKE_CUDA_STANDARD 20)
  set(CMAKE_CUDA_EXTENSIONS OFF)
  set(CMAKE_CUDA_STANDARD_REQUIRED ON)
endif()

if(VASE_SANITIZE)
  add_compile_options(-fsanitize=${VASE_SANITIZE} -fno-omit-frame-pointer
                      -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${VASE_SANITIZE})
endif()
