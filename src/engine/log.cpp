#include "engine/log.hpp"

#include <cstdio>
#include <deque>
#include <mutex>
#include <utility>

#include "engine/backends.hpp"
#include "ggml.h"
#include "llama.h"
#include "llama/plan/log_lines.hpp"

namespace vase::engine {
namespace {

struct LogState {
  std::mutex mutex;  // llama.cpp logs from loader threads too
  bool verbose = false;
  LogLines lines;
  std::string first_error;
  std::deque<std::string> last_errors;  // what an abort is about
};

LogState &log_state() {
  static LogState state;
  return state;
}

void note_error(LogState &state, const std::string &line) {
  state.last_errors.push_back(line);
  if (state.last_errors.size() > 3) state.last_errors.pop_front();
  if (state.first_error.empty()) state.first_error = reason_in(line);
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
  state.lines.add(level, text, [&state](ggml_log_level of, const std::string &line) {
    if (of == GGML_LOG_LEVEL_ERROR) note_error(state, line);
  });
  if (state.verbose && state.lines.level() != GGML_LOG_LEVEL_DEBUG) std::fputs(text, stderr);
}

}  // namespace

void init_llama(bool verbose) {
  LogState &state = log_state();
  state.verbose = verbose;
  llama_log_set(on_log, &state);
  ggml_set_abort_callback(on_abort);
  llama_backend_init();
  load_backends();
}

std::string take_log_error() {
  LogState &state = log_state();
  const std::lock_guard lock(state.mutex);
  return std::exchange(state.first_error, {});
}

}  // namespace vase::engine
