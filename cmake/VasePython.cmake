# The Python package: what its extension module needs, where its files go, and, when pip builds the
# wheel (SKBUILD), whether the wheel carries the program.

set(VASE_PYTHON_PROGRAM
    AUTO
    CACHE STRING "pip: put the vase program into the wheel (ON, OFF, AUTO: if its libraries are here)")

if(SKBUILD AND NOT VASE_PYTHON_PROGRAM STREQUAL "OFF")
  set(_vase_missing "")
  if(VASE_PYTHON_PROGRAM STREQUAL "AUTO")
    include(VaseFindLlama)
    find_package(fmt QUIET)
    find_package(nlohmann_json QUIET)
    find_package(CLI11 QUIET)
    find_package(PkgConfig QUIET)
    if(PkgConfig_FOUND)
      pkg_check_modules(VASE_HTTPLIB QUIET cpp-httplib)
      pkg_check_modules(VASE_LIBEDIT QUIET libedit)
    endif()
    foreach(library IN ITEMS llama fmt nlohmann_json CLI11 VASE_HTTPLIB VASE_LIBEDIT)
      if(NOT ${library}_FOUND)
        list(APPEND _vase_missing ${library})
      endif()
    endforeach()
  endif()
  if(_vase_missing)
    message(STATUS "vase: the wheel is built without the vase program; not found: ${_vase_missing}")
  else()
    set(VASE_BUILD_LLAMA ON)
    set(VASE_BUILD_CLI ON)
  endif()
endif()

# The python3 that scripts/ make the environments of the tests with, not the newest on the machine.
set(Python_FIND_STRATEGY LOCATION)
find_package(Python 3.11 REQUIRED COMPONENTS Interpreter Development.Module ${SKBUILD_SABI_COMPONENT})
find_package(nanobind CONFIG QUIET HINTS "${VASE_CACHE_FOLDER}/nanobind/nanobind/cmake")
if(NOT nanobind_FOUND)
  message(
    FATAL_ERROR
      "nanobind was not found. One of these helps:\n"
      "  scripts/fetch-nanobind.sh                fetches it into ${VASE_CACHE_FOLDER}\n"
      "  -DVASE_BUILD_PYTHON=OFF                  leaves the Python package out")
endif()

# vase_place_python_package(): the package's files beside the extension module, as in a wheel; after
# src/ has made the targets.
function(vase_place_python_package)
  if(NOT SKBUILD)
    set(package "${PROJECT_BINARY_DIR}/python/vase")
    set_target_properties(vase_python PROPERTIES LIBRARY_OUTPUT_DIRECTORY "${package}")
    add_custom_target(
      vase_python_files ALL
      COMMAND ${CMAKE_COMMAND} -E copy_directory "${PROJECT_SOURCE_DIR}/python/vase" "${package}")
    return()
  endif()

  # pip puts python/vase itself into the wheel; these join it.
  install(TARGETS vase_python LIBRARY DESTINATION vase COMPONENT python)
  install(DIRECTORY "${PROJECT_SOURCE_DIR}/include/vase" DESTINATION vase/include COMPONENT python)
  set_target_properties(vase_python PROPERTIES INSTALL_RPATH "$ORIGIN/lib")
  set(libraries vase)
  if(TARGET vase_cli)
    set_target_properties(vase_cli PROPERTIES INSTALL_RPATH "$ORIGIN/../lib"
                                              INSTALL_RPATH_USE_LINK_PATH OFF)
    install(TARGETS vase_cli RUNTIME DESTINATION vase/bin COMPONENT python)
    install(FILES "${PROJECT_SOURCE_DIR}/models/vase-reasoner-lora.gguf"
            DESTINATION vase/share/vase COMPONENT python)
    install(DIRECTORY "${PROJECT_SOURCE_DIR}/models/catalogue" DESTINATION vase/share/vase COMPONENT python)
    install(
      DIRECTORY "${PROJECT_SOURCE_DIR}/src/eval/python/"
      DESTINATION vase/share/vase
      COMPONENT python
      FILES_MATCHING
      PATTERN "*.py")
    foreach(library IN ITEMS vase_exec vase_jinja)
      if(TARGET ${library})
        set_target_properties(${library} PROPERTIES INSTALL_RPATH "$ORIGIN" INSTALL_RPATH_USE_LINK_PATH OFF)
        install(TARGETS ${library} LIBRARY DESTINATION vase/lib COMPONENT python)
      endif()
    endforeach()
    list(APPEND libraries vase_llama)
    vase_install_llama_libraries()
  endif()
  foreach(library IN LISTS libraries)
    # A wheel has no symbolic links: the library goes by the name that programs look for. As a file, so
    # that it must have been linked as it will be installed.
    set_target_properties(${library} PROPERTIES INSTALL_RPATH "$ORIGIN" INSTALL_RPATH_USE_LINK_PATH OFF
                                                BUILD_WITH_INSTALL_RPATH ON)
    install(FILES "$<TARGET_FILE:${library}>" DESTINATION vase/lib COMPONENT python
            RENAME "$<TARGET_SONAME_FILE_NAME:${library}>")
  endforeach()
endfunction()

# libllama and the ggml libraries beside it. They look for each other in their own folder. Where the
# backends are loaded at run time, llama.cpp installs them beside its programs.
function(vase_install_llama_libraries)
  file(GLOB libraries "${LLAMA_LIB_DIR}/libllama.so*" "${LLAMA_LIB_DIR}/libggml*.so*"
       "${LLAMA_LIB_DIR}/../bin/libggml-*.so")
  if(TARGET vase_jinja)
    file(GLOB common "${LLAMA_LIB_DIR}/libllama-common.so*")
    list(APPEND libraries ${common})
  endif()
  foreach(library IN LISTS libraries)
    get_filename_component(name "${library}" NAME)
    get_filename_component(file "${library}" REALPATH)
    # What programs look for: libllama.so.0, and backends that are loaded at run time.
    if(name MATCHES "\\.so\\.[0-9]+$" OR (name MATCHES "\\.so$" AND NOT IS_SYMLINK "${library}"))
      install(FILES "${file}" DESTINATION vase/lib COMPONENT python RENAME "${name}")
    endif()
  endforeach()
endfunction()
