// Reads sizes that llama.cpp tells only in its log.
#ifndef VASE_LLAMA_LOG_CAPTURE_HPP
#define VASE_LLAMA_LOG_CAPTURE_HPP

#include <string>
#include <string_view>
#include <vector>

#include "llama.h"

namespace vase {

/// While it lives, keeps llama.cpp's log lines and still passes them on. llama.cpp has one log for
/// the process, so captures exclude each other and see the lines of all threads.
class LogCapture {
 public:
  LogCapture();
  ~LogCapture();
  LogCapture(const LogCapture &) = delete;
  LogCapture &operator=(const LogCapture &) = delete;

  const std::vector<std::string> &lines() const { return lines_; }
  /// Bytes said by all lines of the form "... <label> = <number> MiB", summed; how many lines said
  /// so goes to `found`.
  size_t mebibytes(std::string_view label, int &found) const;
  /// The last line of level error, without its end, or `otherwise`.
  std::string last_error(const std::string &otherwise) const;

 private:
  static void receive(ggml_log_level level, const char *text, void *capture);

  ggml_log_callback next_ = nullptr;
  void *next_data_ = nullptr;
  std::vector<std::string> lines_;
  std::string last_error_;
};

}  // namespace vase

#endif
