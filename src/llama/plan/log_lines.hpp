// llama.cpp's log messages as lines, and what of them a reader needs.
#ifndef VASE_LLAMA_PLAN_LOG_LINES_HPP
#define VASE_LLAMA_PLAN_LOG_LINES_HPP

#include <functional>
#include <string>
#include <string_view>

#include "ggml.h"

namespace vase {

/// Puts messages together to lines: one may come in several parts. Not for several threads at once.
class LogLines {
 public:
  /// A whole line without its end, and its level.
  using Take = std::function<void(ggml_log_level, std::string)>;

  /// What llama.cpp hands to a log callback.
  void add(ggml_log_level level, const char *text, const Take &take);
  /// Of the last message; a part that continues a line has the line's.
  ggml_log_level level() const { return level_; }

 private:
  std::string line_;
  ggml_log_level level_ = GGML_LOG_LEVEL_NONE;
};

/// What an error line says, without the name of the function that said it and that it is an error:
/// "llama_model_load: error loading model: no such tensor" -> "no such tensor".
std::string reason_in(std::string_view line);

}  // namespace vase

#endif
