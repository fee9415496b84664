# What we stand on. System packages come from the distribution (scripts/install-packages.sh lists
# them); libllama comes from CMAKE_PREFIX_PATH if it is there, else from the cache folder that
# scripts/build-llama.sh fills.

find_package(Threads REQUIRED)
if(NOT VASE_SIMD STREQUAL "OFF")
  find_package(HWY QUIET NAMES hwy HWY)
endif()
if(NOT HWY_FOUND AND VASE_SIMD STREQUAL "ON")
  message(FATAL_ERROR "Highway was not found: apt-get install libhwy-dev, or -DVASE_SIMD=OFF for scalar kernels, "
                      "which keep the same rows and take many times as long")
elseif(NOT HWY_FOUND)
  message(WARNING "vase: without Highway (apt-get install libhwy-dev) evictions keep the same rows, but take some 40 times "
                  "as long")
endif()
if(VASE_BUILD_LLAMA OR VASE_BUILD_CLI OR VASE_BUILD_TESTS)
  find_package(fmt REQUIRED)
  find_package(nlohmann_json REQUIRED)
endif()

if(VASE_CUDA)
  find_package(CUDAToolkit 12.8 REQUIRED)
endif()
if(VASE_BUILD_CLI)
  find_package(CLI11 REQUIRED)
  find_package(PkgConfig REQUIRED)
  pkg_check_modules(libedit QUIET IMPORTED_TARGET libedit)
  if(NOT libedit_FOUND)
    message(FATAL_ERROR "libedit, the line editor of vase chat, was not found: apt-get install libedit-dev")
  endif()
endif()
if(VASE_BUILD_TESTS)
  find_package(GTest REQUIRED)
endif()
if(VASE_BUILD_BENCH)
  find_package(benchmark REQUIRED)
endif()

if(VASE_BUILD_LLAMA)
  include(VaseLlama)
  include(VaseJinja)
endif()
