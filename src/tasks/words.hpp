// Names, things and turns of phrase. Every word is one token of SmolLM2 when a space precedes it.
#pragma once

#include <string>
#include <vector>

#include "tasks/random.hpp"

namespace vase::tasks {

const std::vector<std::string>& people();
const std::vector<std::string>& things();
const std::vector<std::string>& towns();
const std::vector<std::string>& traits();
const std::vector<std::string>& colours();
const std::vector<std::string>& machines();

/// The manner in which one chain is written: drawn once, then kept, as a writer keeps to a manner.
struct Voice {
  std::string opening;      ///< first line
  std::string check;        ///< before a check
  std::string good;         ///< after a check that succeeds
  std::string second_look;  ///< before the same thing is looked at from another side
  std::string closing;      ///< before the parts are put together
};

Voice draw_voice(Rng& rng);

/// "a, b, c" for {"a", "b", "c"}.
std::string join(const std::vector<std::string>& items, const std::string& separator = ", ");

/// "a, b and c" for {"a", "b", "c"}.
std::string join_and(const std::vector<std::string>& items);

}  // namespace vase::tasks
