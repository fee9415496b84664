#include "engine/log.hpp"

#include <cstdio>
#include <deque>
#include <mutex>
#include <string_view>
#include <utility>

#include "ggml.h"
#include "llama.h"

namespace vase::engine {
namespace {

struct LogState {
  std::mutex mutex;  // llama.cpp logs from loader threads too
  bool verbose = false;
  std::string line;
  std::string first_error;
  std::deque<std::string> last_errors;  // what an abort is about
  ggml_log_level level = GGML_LOG_LEVEL_NONE;
};

LogState &log_state() {
  static LogState state;
  return state;
}

// "llama_model_load: error loading model: no such tensor" -> "no such tensor".
std::string_view without_prefixes(std::string_view line) {
  for (std::string_view noise : {"error loading model: ", "failed to apply lora adapter: "}) {
    if (const auto at = line.find(noise); at != line.npos) return line.substr(at + noise.size());
  }
  const auto colon = line.find(": ");
  const bool is_function = colon != line.npos && line.substr(0, colon).find(' ') == line.npos;
  return is_function ? line.substr(colon + 2) : line;
}

void finish_line(LogState &state) {
  const std::string line = std::exchange(state.line, {});
  if (state.level != GGML_LOG_LEVEL_ERROR) return;
  state.last_errors.push_back(line);
  if (state.last_errors.size() > 3) state.last_errors.pop_front();
  if (state.first_error.empty()) state.first_error = without_prefixes(line);
}

// llama.cpp ends the process where a device fails, and says why in its log alone.
void on_abort(const char *message) {
  LogState &state = log_state();
  const std::unique_lock lock(state.mutex, std::try_to_lock);
  if (lock.owns_lock() && !state.verbose)
    for (const std::string &line : state.last_errors) std::fprintf(stderr, "%s\n", line.c_str());
  std::fprintf(stderr, "llama.cpp gave up: %s\n", message);
}

void on_log(ggml_log_level level, const char *text, void *user_data) {
  LogState &state = *static_cast<LogState *>(user_data);
  const std::lock_guard lock(state.mutex);
  if (level != GGML_LOG_LEVEL_CONT) state.level = level;
  if (state.verbose && state.level != GGML_LOG_LEVEL_DEBUG) std::fputs(text, stderr);
  for (const char *c = text; *c != '\0'; ++c) {
    if (*c == '\n') {
      finish_line(state);
    } else {
      state.line.push_back(*c);
    }
  }
}

}  // namespace

void init_llama(bool verbose) {
  LogState &state = log_state();
  state.verbose = verbose;
  llama_log_set(on_log, &state);
  ggml_set_abort_callback(on_abort);
  llama_backend_init();
}

std::string take_log_error() {
  LogState &state = log_state();
  const std::lock_guard lock(state.mutex);
  return std::exchange(state.first_error, {});
}

}  // namespace vase::engine
