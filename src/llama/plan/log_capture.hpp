// Reads sizes that llama.cpp tells only in its log.
#ifndef VASE_LLAMA_PLAN_LOG_CAPTURE_HPP
#define VASE_LLAMA_PLAN_LOG_CAPTURE_HPP

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "llama.h"
#include "llama/plan/log_lines.hpp"

namespace vase {

/// One of llama.cpp's caches as its log describes it.
struct LoggedCache {
  int64_t cells;  ///< of one stream
  int64_t layers;
  size_t bytes;    ///< all streams; to the hundredth of a MiB
  bool recurrent;  ///< the state of recurrent layers: `cells` are sequences, and nothing grows
};

/// While it lives, keeps llama.cpp's log lines. llama.cpp has one log for the process, so captures
/// exclude each other and see the lines of all threads; one thread must not make two at a time. A
/// thread that is about to log when a capture ends still finds somebody to log to.
class LogCapture {
 public:
  /// `pass_on`: lines still go where they went before.
  explicit LogCapture(bool pass_on);
  ~LogCapture();
  LogCapture(const LogCapture &) = delete;
  LogCapture &operator=(const LogCapture &) = delete;

  /// Bytes that all lines of the form "... <label> = <number> MiB" say together.
  size_t mebibytes(std::string_view label) const;
  /// The whole number that the first line of the form "... <label> = <number>" says; 0 if none
  /// does.
  size_t number(std::string_view label) const;
  /// The KV caches that were made.
  std::vector<LoggedCache> caches() const;
  /// The reason that llama.cpp gave for what failed, ready to stand behind a sentence: what its
  /// first line of level error says, for the later ones only repeat that a caller failed.
  std::string because() const;

 private:
  struct Sink;
  static Sink &sink();
  static void receive(ggml_log_level level, const char *text, void *nothing);
  void keep(ggml_log_level level, const char *text);

  bool pass_on_;
  mutable std::mutex lines_mutex_;  // a context in another thread may have its say
  LogLines unfinished_;
  std::vector<std::string> lines_;
  std::string first_error_;
};

}  // namespace vase

#endif
