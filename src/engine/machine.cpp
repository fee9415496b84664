#include "engine/machine.hpp"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <system_error>
#include <thread>

#include "ggml-backend.h"

namespace vase::engine {
namespace {

std::optional<std::uint64_t> read_number(const char *path) {
  std::ifstream file(path);
  std::uint64_t value = 0;
  if (file >> value) return value;
  return std::nullopt;  // no such file, or "max"
}

// Of a line of smaps: "Rss:   12 kB".
std::uint64_t number_in(const std::string &line) {
  return std::strtoull(line.c_str() + line.find(':') + 1, nullptr, 10);
}

std::optional<std::uint64_t> kernel_estimate() {
  std::ifstream file("/proc/meminfo");
  std::string name;
  std::uint64_t kib = 0;
  while (file >> name >> kib) {
    if (name == "MemAvailable:") return kib * 1024;
    file.ignore(64, '\n');
  }
  return std::nullopt;
}

std::optional<std::uint64_t> control_group_room() {
  const auto limit = read_number("/sys/fs/cgroup/memory.max");
  const auto used = read_number("/sys/fs/cgroup/memory.current");
  if (!limit || !used) return std::nullopt;
  return *limit - std::min(*limit, *used);
}

}  // namespace

std::optional<std::uint64_t> available_memory() {
  const auto kernel = kernel_estimate();
  const auto group = control_group_room();
  if (kernel && group) return std::min(*kernel, *group);
  return kernel ? kernel : group;
}

std::uint64_t resident_memory() {
  std::ifstream file("/proc/self/statm");
  std::uint64_t total = 0;
  std::uint64_t resident = 0;
  if (!(file >> total >> resident)) return 0;
  return resident * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
}

std::uint64_t code_not_read_yet() {
  std::error_code error;
  const std::string program = std::filesystem::read_symlink("/proc/self/exe", error).string();
  std::ifstream file("/proc/self/smaps");
  std::uint64_t kib = 0;
  bool ours = false;
  for (std::string line; std::getline(file, line);) {
    const std::size_t path = line.find('/');
    if (path != std::string::npos) {
      const std::string name = line.substr(line.rfind('/') + 1);
      ours = line.substr(path) == program || name.starts_with("libllama") ||
             name.starts_with("libggml");
    } else if (line.find('-') < line.find(' ')) {
      ours = false;  // the first line of a mapping without a file
    } else if (ours && line.starts_with("Size:")) {
      kib += number_in(line);
    } else if (ours && line.starts_with("Rss:")) {
      kib -= number_in(line);
    }
  }
  return kib * 1024;
}

std::uint64_t gpu_memory_in_use() {
  std::uint64_t bytes = 0;
  for (std::size_t i = 0; i < ggml_backend_dev_count(); ++i) {
    const ggml_backend_dev_t device = ggml_backend_dev_get(i);
    if (ggml_backend_dev_type(device) != GGML_BACKEND_DEVICE_TYPE_GPU) continue;
    std::size_t free = 0, total = 0;
    ggml_backend_dev_memory(device, &free, &total);
    bytes += total - free;
  }
  return bytes;
}

int usable_processors() {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) return std::max(1, CPU_COUNT(&set));
  return static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
}

}  // namespace vase::engine
