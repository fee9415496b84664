// Files that the program finds by itself: the model that is used when none is named
// (SmolLM2-135M-Instruct with the reasoner's adapter), and its scripts.
#pragma once

#include <filesystem>

namespace vase::cli {

/// Where `make model` puts the base model: models/ of $VASE_CACHE, else of $XDG_CACHE_HOME/vase,
/// else of ~/.cache/vase.
std::filesystem::path default_model();

/// The reasoner's LoRA adapter: ../share/vase beside an installed program, else models/ of the
/// source tree that the program was built from. Throws Error if it is in neither.
std::filesystem::path reasoner_adapter();

/// A Python script that belongs to the program, looked for in the same way: src/eval/python of the
/// source tree. Throws Error if it is not there.
std::filesystem::path eval_script(const char *name);

}  // namespace vase::cli
