# What we stand on. System packages come from the distribution (scripts/install-packages.sh lists
# them); libllama comes from CMAKE_PREFIX_PATH if it is there, else from the cache folder that
# scripts/build-llama.sh fills.

find_package(Threads REQUIRED)
find_package(HWY REQUIRED NAMES hwy HWY)
find_package(fmt REQUIRED)
find_package(nlohmann_json REQUIRED)

if(VASE_BUILD_CLI)
  find_package(CLI11 REQUIRED)
endif()
if(VASE_BUILD_TESTS)
  find_package(GTest REQUIRED)
endif()
if(VASE_BUILD_BENCH)
  find_package(benchmark REQUIRED)
endif()

if(VASE_BUILD_LLAMA)
  include(VaseLlama)
endif()
