# The short way to everything; the work is done by scripts/.
#
# Variables, all optional:
#   VASE_CACHE         where libllama and the model are kept   (~/.cache/vase)
#   VASE_BACKENDS      llama.cpp backends besides the CPU      (none; cuda, vulkan, ..., comma-separated)
#   CUDAARCHS          GPUs that "make cuda" builds for        (those of this machine, or 90: Hopper)
#   CMAKE_PREFIX_PATH  where your own llama.cpp is installed   (then none is downloaded)
#   PREFIX             where "make install" puts things        (/usr/local)

PREFIX ?= /usr/local

.PHONY: help demo test build cuda wheel wheel-test model asan tsan bench format lint install clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 16
	@echo; sed -n '/^# Variables/,/^$$/s/^# \{0,1\}//p' Makefile

demo: ## install what is missing, build, and generate with the default model
	@scripts/demo.sh

test: ## install what is missing, build, and run all tests
	@scripts/test.sh release

build: ## install what is missing and build everything into build/release
	@scripts/build.sh release

cuda: ## the same for NVIDIA GPUs, evictions there as well, into build/cuda (needs nvcc)
	@VASE_BACKENDS="$${VASE_BACKENDS:-cuda}" scripts/build.sh cuda

wheel: ## write a wheel with the program and libllama, for other machines too, into dist/
	@scripts/make-wheel.sh

wheel-test: ## make the wheel, install it where there is no compiler, and run it
	@tests/install/wheel_test.sh

model: ## fetch the default model
	@scripts/fetch-model.sh

asan: ## the tests under the address and undefined-behaviour sanitizers
	@scripts/test.sh asan

tsan: ## the library, the engine and the server under the thread sanitizer
	@scripts/test.sh tsan

bench: ## build and run the benchmarks
	@scripts/bench.sh

format: ## lay out the C++ sources with clang-format
	@scripts/lint.sh --fix

lint: ## clang-format, clang-tidy and shellcheck
	@scripts/lint.sh

install: build ## install headers, libraries and the vase program under PREFIX
	@cmake --install build/release --prefix "$(PREFIX)"

clean: ## remove the build folders (the cache stays)
	rm -rf build
