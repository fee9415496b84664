// Opens the library of src/jinja, which not every build has.
#pragma once

#include <string>

#include "engine/chat_writer.hpp"

namespace vase::engine {

struct FoundJinja {
  const JinjaLibrary *library = nullptr;  ///< null: templates are those of llama.cpp's fixed list
  std::string why = {};                   ///< then: in one line, as part of a sentence
};

/// Looks for it once; it stays open.
const FoundJinja &jinja_library();

/// The same for a library of that name, and a llama.cpp of that version.
FoundJinja open_jinja_library(const std::string &path, const std::string &llama_version);

}  // namespace vase::engine
