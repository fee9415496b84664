#include "llama/log_capture.hpp"

#include <cmath>
#include <cstdlib>
#include <mutex>

namespace vase {
namespace {

std::mutex &capture_mutex() {
  static std::mutex mutex;
  return mutex;
}

}  // namespace

LogCapture::LogCapture() {
  capture_mutex().lock();
  llama_log_get(&next_, &next_data_);
  llama_log_set(receive, this);
}

LogCapture::~LogCapture() {
  llama_log_set(next_, next_data_);
  capture_mutex().unlock();
}

size_t LogCapture::mebibytes(std::string_view label, int &found) const {
  size_t bytes = 0;
  found = 0;
  for (const std::string &line : lines_) {
    const size_t at = line.find(label);
    if (at == std::string::npos) continue;
    const size_t equals = line.find('=', at + label.size());
    if (equals == std::string::npos || line.find("MiB", equals) == std::string::npos) continue;
    const double mebibytes = std::strtod(line.c_str() + equals + 1, nullptr);
    bytes += static_cast<size_t>(std::llround(mebibytes * 1024.0 * 1024.0));
    ++found;
  }
  return bytes;
}

std::string LogCapture::last_error(const std::string &otherwise) const {
  return last_error_.empty() ? otherwise : last_error_;
}

void LogCapture::receive(ggml_log_level level, const char *text, void *capture) {
  auto *self = static_cast<LogCapture *>(capture);
  std::string line = text;
  while (!line.empty() && line.back() == '\n') line.pop_back();
  if (level == GGML_LOG_LEVEL_ERROR && !line.empty()) self->last_error_ = line;
  self->lines_.push_back(std::move(line));
  if (self->next_ != nullptr) self->next_(level, text, self->next_data_);
}

}  // namespace vase
