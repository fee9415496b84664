include(GoogleTest)

# vase_add_test(NAME name SOURCES files... [LIBS targets...] [LABELS labels...])
# Builds one GoogleTest program and registers each of its cases with ctest. The label is the
# room's folder name unless LABELS says otherwise.
function(vase_add_test)
  cmake_parse_arguments(PARSE_ARGV 0 arg "" "NAME" "SOURCES;LIBS;LABELS")
  if(arg_UNPARSED_ARGUMENTS OR NOT arg_NAME OR NOT arg_SOURCES)
    message(FATAL_ERROR "vase_add_test(NAME name SOURCES files... [LIBS ...] [LABELS ...])")
  endif()
  if(NOT arg_LABELS)
    get_filename_component(arg_LABELS "${CMAKE_CURRENT_SOURCE_DIR}" NAME)
  endif()
  add_executable(${arg_NAME} ${arg_SOURCES})
  target_link_libraries(${arg_NAME} PRIVATE ${arg_LIBS} vase_warnings GTest::gtest_main
                                            GTest::gmock)
  # With a llama.cpp for CUDA no test starts where there is no driver: build them all the same.
  set(discovery POST_BUILD)
  if(TARGET ggml::ggml-cuda)
    set(discovery PRE_TEST)
  endif()
  gtest_discover_tests(
    ${arg_NAME}
    TEST_PREFIX "${arg_NAME}."
    DISCOVERY_MODE ${discovery}
    DISCOVERY_TIMEOUT 60
    # llama.cpp's threads spin while they wait; with more of them than cores, tests would crawl.
    PROPERTIES TIMEOUT 600 ENVIRONMENT OMP_WAIT_POLICY=passive)
  # gtest_discover_tests flattens a list given as a property, so ctest sets the labels itself.
  set(labels_file "${CMAKE_CURRENT_BINARY_DIR}/${arg_NAME}_labels.cmake")
  file(CONFIGURE OUTPUT "${labels_file}" @ONLY CONTENT [=[
foreach(test IN LISTS @arg_NAME@_TESTS)
  set_tests_properties("${test}" PROPERTIES LABELS "@arg_LABELS@")
endforeach()
]=])
  set_property(DIRECTORY APPEND PROPERTY TEST_INCLUDE_FILES "${labels_file}")
endfunction()
