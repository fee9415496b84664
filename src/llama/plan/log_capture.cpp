#include "llama/plan/log_capture.hpp"

#include <cinttypes>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <utility>

namespace vase {
namespace {

size_t to_bytes(double mebibytes) {
  return static_cast<size_t>(std::llround(mebibytes * 1024.0 * 1024.0));
}

}  // namespace

// What llama.cpp is given as its log. It lives as long as the process, for a thread may have read
// the log's address before a capture ended and call it afterwards.
struct LogCapture::Sink {
  std::mutex one_at_a_time;  // held by the capture there is
  std::mutex mutex;          // over what follows
  LogCapture *capture = nullptr;
  ggml_log_callback next = nullptr;  // where lines go without a capture
  void *next_data = nullptr;
};

LogCapture::Sink &LogCapture::sink() {
  static Sink *sink = new Sink;  // outlives static objects, too
  return *sink;
}

LogCapture::LogCapture(bool pass_on) : pass_on_(pass_on) {
  Sink &own = sink();
  own.one_at_a_time.lock();
  ggml_log_callback next = nullptr;
  void *next_data = nullptr;
  llama_log_get(&next, &next_data);
  {
    const std::lock_guard lock(own.mutex);
    own.capture = this;
    if (next != receive) {
      own.next = next;
      own.next_data = next_data;
    }
  }
  llama_log_set(receive, nullptr);
}

LogCapture::~LogCapture() {
  Sink &own = sink();
  ggml_log_callback next = nullptr;
  void *next_data = nullptr, *data = nullptr;
  ggml_log_callback current = nullptr;
  {
    const std::lock_guard lock(own.mutex);
    own.capture = nullptr;
    next = own.next;
    next_data = own.next_data;
  }
  // Somebody may have set a log of his own meanwhile, which stays.
  llama_log_get(&current, &data);
  if (current == receive) llama_log_set(next, next_data);
  own.one_at_a_time.unlock();
}

size_t LogCapture::mebibytes(std::string_view label) const {
  const std::string start = std::string(label) + " =";
  size_t bytes = 0;
  const std::lock_guard lock(lines_mutex_);
  for (const std::string &line : lines_) {
    const size_t at = line.find(start);
    if (at != std::string::npos)
      bytes += to_bytes(std::strtod(line.c_str() + at + start.size(), nullptr));
  }
  return bytes;
}

size_t LogCapture::number(std::string_view label) const {
  const std::string start = std::string(label) + " =";
  const std::lock_guard lock(lines_mutex_);
  for (const std::string &line : lines_) {
    const size_t at = line.find(start);
    if (at != std::string::npos)
      return static_cast<size_t>(std::strtoull(line.c_str() + at + start.size(), nullptr, 10));
  }
  return 0;
}

std::vector<LoggedCache> LogCapture::caches() const {
  std::vector<LoggedCache> caches;
  const std::lock_guard lock(lines_mutex_);
  for (const std::string &line : lines_) {
    const size_t at = line.find(": size =");
    double mebibytes = 0;
    LoggedCache cache{};
    if (at != std::string::npos &&
        std::sscanf(line.c_str() + at, ": size = %lf MiB (%" SCNd64 " cells, %" SCNd64 " layers",
                    &mebibytes, &cache.cells, &cache.layers) == 3) {
      cache.bytes = to_bytes(mebibytes);
      cache.recurrent = line.starts_with("llama_memory_recurrent");
      caches.push_back(cache);
    }
  }
  return caches;
}

std::string LogCapture::because() const {
  const std::lock_guard lock(lines_mutex_);
  return ": " + (first_error_.empty() ? "it did not say why" : first_error_);
}

void LogCapture::receive(ggml_log_level level, const char *text, void * /*nothing*/) {
  Sink &own = sink();  // not the argument: llama.cpp sets a log and its data one after the other
  ggml_log_callback next = nullptr;
  void *next_data = nullptr;
  {
    const std::lock_guard lock(own.mutex);
    if (own.capture != nullptr) own.capture->keep(level, text);
    if (own.capture == nullptr || own.capture->pass_on_) {
      next = own.next;
      next_data = own.next_data;
    }
  }
  if (next != nullptr) next(level, text, next_data);
}

void LogCapture::keep(ggml_log_level level, const char *text) {
  const std::lock_guard lock(lines_mutex_);
  unfinished_.add(level, text, [this](ggml_log_level of, std::string line) {
    if (of == GGML_LOG_LEVEL_ERROR && first_error_.empty()) first_error_ = reason_in(line);
    lines_.push_back(std::move(line));
  });
}

}  // namespace vase
