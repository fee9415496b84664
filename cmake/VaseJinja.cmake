# llama.cpp's templates in Jinja, from its library llama-common: VASE_JINJA_FOUND, and the target
# vase_llama_common to link. The library lies beside libllama; its headers are not installed, and its C++
# functions change from version to version, so they are read from the source of that very version, and src/jinja
# is built only where it compiles against them. Without, vase knows llama.cpp's fixed list of templates.

set(VASE_JINJA AUTO CACHE STRING "Chat templates in Jinja, by llama.cpp's llama-common (ON, OFF, AUTO: if it is here)")
set(VASE_LLAMA_SOURCE "" CACHE PATH "Source of the llama.cpp in use (default: where build-llama.sh puts it)")

# Sets VASE_JINJA_MISSING to what is missing; "" if nothing is.
function(vase_find_llama_common)
  set(VASE_JINJA_MISSING "" PARENT_SCOPE)
  find_library(
    VASE_LLAMA_COMMON_LIBRARY llama-common
    HINTS "${LLAMA_LIB_DIR}"
    NO_DEFAULT_PATH)
  mark_as_advanced(VASE_LLAMA_COMMON_LIBRARY)
  if(NOT VASE_LLAMA_COMMON_LIBRARY)
    set(VASE_JINJA_MISSING "no libllama-common in ${LLAMA_LIB_DIR}" PARENT_SCOPE)
    return()
  endif()
  set(source "${VASE_LLAMA_SOURCE}")
  if(NOT source)
    set(source "${LLAMA_LIB_DIR}/../../src")
  endif()
  if(NOT EXISTS "${source}/common/chat.h")
    set(VASE_JINJA_MISSING "no common/chat.h in ${source} (VASE_LLAMA_SOURCE)" PARENT_SCOPE)
    return()
  endif()
  file(STRINGS "${source}/CMakeLists.txt" lines REGEX "^set\\(LLAMA_VERSION_(MAJOR|MINOR|PATCH) ")
  string(REGEX MATCHALL "[0-9]+" numbers "${lines}")
  list(JOIN numbers "." version)
  string(REGEX MATCH "^[0-9.]+" installed "${LLAMA_VERSION}")
  if(NOT version STREQUAL installed)
    set(VASE_JINJA_MISSING "${source} is llama.cpp ${version}, and libllama is ${installed}" PARENT_SCOPE)
    return()
  endif()

  add_library(vase_llama_common INTERFACE)
  target_include_directories(vase_llama_common SYSTEM INTERFACE "${source}/common")
  target_link_libraries(vase_llama_common INTERFACE "${VASE_LLAMA_COMMON_LIBRARY}" llama)
  target_compile_definitions(vase_llama_common INTERFACE VASE_LLAMA_VERSION="${LLAMA_VERSION}")
  if(NOT VASE_JINJA_COMPILES STREQUAL "${VASE_LLAMA_COMMON_LIBRARY}")
    set(CMAKE_TRY_COMPILE_TARGET_TYPE STATIC_LIBRARY) # the functions' forms, which the headers tell
    try_compile(
      compiles "${PROJECT_BINARY_DIR}/jinja"
      SOURCES "${PROJECT_SOURCE_DIR}/src/jinja/module.cpp"
      CMAKE_FLAGS "-DINCLUDE_DIRECTORIES=${PROJECT_SOURCE_DIR}/src;${source}/common;${LLAMA_INCLUDE_DIR}"
      COMPILE_DEFINITIONS -DVASE_LLAMA_VERSION=\"\"
      OUTPUT_VARIABLE log
      CXX_STANDARD 20)
    if(NOT compiles)
      file(WRITE "${PROJECT_BINARY_DIR}/jinja/errors.log" "${log}")
      set(VASE_JINJA_MISSING
          "src/jinja does not compile with llama.cpp ${version} (${PROJECT_BINARY_DIR}/jinja/errors.log)"
          PARENT_SCOPE)
      return()
    endif()
    set(VASE_JINJA_COMPILES "${VASE_LLAMA_COMMON_LIBRARY}" CACHE INTERNAL "With which library src/jinja compiles")
  endif()
endfunction()

set(VASE_JINJA_FOUND OFF)
if(NOT VASE_JINJA STREQUAL "OFF")
  vase_find_llama_common()
  if(VASE_JINJA_MISSING STREQUAL "")
    set(VASE_JINJA_FOUND ON)
    message(STATUS "vase: chat templates in Jinja, by ${VASE_LLAMA_COMMON_LIBRARY}")
  elseif(VASE_JINJA STREQUAL "ON")
    message(FATAL_ERROR "VASE_JINJA=ON: ${VASE_JINJA_MISSING}")
  else()
    message(STATUS "vase: chat templates from llama.cpp's fixed list only, none in Jinja: ${VASE_JINJA_MISSING}")
  endif()
endif()
