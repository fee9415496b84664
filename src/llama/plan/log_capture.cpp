#include "llama/plan/log_capture.hpp"

#include <cinttypes>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <mutex>

namespace vase {
namespace {

std::mutex &capture_mutex() {
  static std::mutex mutex;
  return mutex;
}

size_t to_bytes(double mebibytes) {
  return static_cast<size_t>(std::llround(mebibytes * 1024.0 * 1024.0));
}

}  // namespace

LogCapture::LogCapture(bool pass_on) : pass_on_(pass_on) {
  capture_mutex().lock();
  llama_log_get(&next_, &next_data_);
  llama_log_set(receive, this);
}

LogCapture::~LogCapture() {
  llama_log_set(next_, next_data_);
  capture_mutex().unlock();
}

size_t LogCapture::mebibytes(std::string_view label) const {
  const std::string start = std::string(label) + " =";
  size_t bytes = 0;
  for (const std::string &line : lines_) {
    const size_t at = line.find(start);
    if (at != std::string::npos)
      bytes += to_bytes(std::strtod(line.c_str() + at + start.size(), nullptr));
  }
  return bytes;
}

std::vector<LoggedCache> LogCapture::caches() const {
  std::vector<LoggedCache> caches;
  for (const std::string &line : lines_) {
    const size_t at = line.find(": size =");
    double mebibytes = 0;
    LoggedCache cache{};
    if (at != std::string::npos &&
        std::sscanf(line.c_str() + at, ": size = %lf MiB (%" SCNd64 " cells, %" SCNd64 " layers",
                    &mebibytes, &cache.cells, &cache.layers) == 3) {
      cache.bytes = to_bytes(mebibytes);
      caches.push_back(cache);
    }
  }
  return caches;
}

std::string LogCapture::last_error(const std::string &otherwise) const {
  return last_error_.empty() ? otherwise : last_error_;
}

void LogCapture::receive(ggml_log_level level, const char *text, void *capture) {
  auto *self = static_cast<LogCapture *>(capture);
  std::string line = text;
  while (!line.empty() && line.back() == '\n') line.pop_back();
  const std::lock_guard lock(self->lines_mutex_);  // a context in another thread may have its say
  if (level == GGML_LOG_LEVEL_ERROR && !line.empty()) self->last_error_ = line;
  self->lines_.push_back(std::move(line));
  if (self->pass_on_ && self->next_ != nullptr) self->next_(level, text, self->next_data_);
}

}  // namespace vase
