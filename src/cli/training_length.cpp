#include "cli/training_length.hpp"

#include <fmt/format.h>

#include <cstdio>

#include "core/training_length.hpp"

namespace vase::cli {

void TrainingLength::check(std::string_view text_has, std::int64_t tokens, std::int64_t trained) {
  const std::string line = beyond_training(text_has, tokens, trained);
  if (said_ || line.empty()) return;
  said_ = true;
  fmt::print(stderr, "vase: {}\n", line);
}

}  // namespace vase::cli
