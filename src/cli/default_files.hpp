// Files that the program finds by itself: fetched models, the reasoner's adapter, its scripts.
#pragma once

#include <filesystem>

namespace vase::cli {

/// Where scripts/fetch-model.sh puts models: models/ of $VASE_CACHE, else of $XDG_CACHE_HOME/vase,
/// else of ~/.cache/vase.
std::filesystem::path models_folder();

/// The reasoner's LoRA adapter: ../share/vase beside an installed program, else models/ of the
/// source tree that the program was built from. Throws Error if it is in neither.
std::filesystem::path reasoner_adapter();

/// A Python script that belongs to the program, looked for in the same way: src/eval/python of the
/// source tree. Throws Error if it is not there.
std::filesystem::path eval_script(const char *name);

/// The library that `vase exec` puts in front of a program's libllama. Throws Error if it is not
/// there.
std::filesystem::path interposed_library();

}  // namespace vase::cli
