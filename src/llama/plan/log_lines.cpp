#include "llama/plan/log_lines.hpp"

#include <utility>

namespace vase {

void LogLines::add(ggml_log_level level, const char *text, const Take &take) {
  if (level != GGML_LOG_LEVEL_CONT) level_ = level;
  for (const char *c = text; *c != '\0'; ++c) {
    if (*c == '\n') {
      take(level_, std::exchange(line_, {}));
    } else {
      line_.push_back(*c);
    }
  }
}

std::string reason_in(std::string_view line) {
  for (const std::string_view noise :
       {"error loading model: ", "failed to apply lora adapter: ",
        "failed to initialize the context: ", "failed to load model: "})
    if (const auto at = line.find(noise); at != line.npos) line = line.substr(at + noise.size());
  const auto colon = line.find(": ");
  const bool is_function = colon != line.npos && line.substr(0, colon).find(' ') == line.npos &&
                           line.substr(0, colon).find('_') != line.npos;
  return std::string(is_function ? line.substr(colon + 2) : line);
}

}  // namespace vase
