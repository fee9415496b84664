#include "tasks/draft.hpp"

#include <algorithm>

namespace vase::tasks {

int draw_goal(Rng& rng, const Lengths& lengths, int part_tokens, int closing_tokens) {
  const int low = lengths.min_chain - closing_tokens;
  const int high = lengths.max_chain - closing_tokens - part_tokens;
  return rng.between(low, std::max(low, high));
}

int wrap(int value) { return ((value % 100) + 100) % 100; }

std::string wrapped(int value) {
  return wrap(value) == value ? cat(value) : cat(value, ", so ", wrap(value));
}

}  // namespace vase::tasks
