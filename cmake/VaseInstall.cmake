# cmake --install: headers, libraries, the program and the CMake package vase.

include(CMakePackageConfigHelpers)

set(_vase_targets vase vase_warnings)
if(TARGET vase_llama)
  set_target_properties(vase_llama PROPERTIES EXPORT_NAME llama)
  list(APPEND _vase_targets vase_llama)
endif()
install(
  TARGETS ${_vase_targets}
  EXPORT vase-targets
  INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
if(TARGET vase_cli)
  install(TARGETS vase_cli)
  # The program looks for these beside its folder.
  foreach(library IN ITEMS vase_exec vase_jinja)
    if(TARGET ${library})
      install(TARGETS ${library} LIBRARY DESTINATION "${CMAKE_INSTALL_LIBDIR}")
    endif()
  endforeach()
  install(FILES "${PROJECT_SOURCE_DIR}/models/vase-reasoner-lora.gguf"
          DESTINATION "${CMAKE_INSTALL_DATADIR}/vase")
  install(
    DIRECTORY "${PROJECT_SOURCE_DIR}/src/eval/python/"
    DESTINATION "${CMAKE_INSTALL_DATADIR}/vase"
    FILES_MATCHING
    PATTERN "*.py")
endif()

set(_vase_left_out)
if(NOT VASE_CUDA)
  set(_vase_left_out PATTERN "cuda.h" EXCLUDE)
endif()
install(
  DIRECTORY "${PROJECT_SOURCE_DIR}/include/vase"
  DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
  FILES_MATCHING
  PATTERN "*.h"
  PATTERN "*.hpp"
  ${_vase_left_out})

set(_vase_package_dir "${CMAKE_INSTALL_LIBDIR}/cmake/vase")
configure_package_config_file(
  "${CMAKE_CURRENT_LIST_DIR}/vase-config.cmake.in" "${PROJECT_BINARY_DIR}/vase-config.cmake"
  INSTALL_DESTINATION "${_vase_package_dir}" NO_SET_AND_CHECK_MACRO)
write_basic_package_version_file(
  "${PROJECT_BINARY_DIR}/vase-config-version.cmake" COMPATIBILITY SameMinorVersion)
install(FILES "${PROJECT_BINARY_DIR}/vase-config.cmake"
              "${PROJECT_BINARY_DIR}/vase-config-version.cmake" DESTINATION "${_vase_package_dir}")
install(EXPORT vase-targets NAMESPACE vase:: DESTINATION "${_vase_package_dir}")
