#include "eval/run_file.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>

#include "vase/llama.hpp"

namespace vase::eval {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

constexpr const char *kMark = "vase_eval";  // in the first line: the version of the format
constexpr int kVersion = 1;

std::string content_of(const std::filesystem::path &path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw Error(fmt::format("cannot read {}: {}", path.string(), std::strerror(errno)));
  return {std::istreambuf_iterator<char>(file), {}};
}

// Bytes of `text` up to the end of its last whole line. A line is whole if its newline is there.
std::size_t whole_lines(const std::string &text) {
  const auto last = text.rfind('\n');
  return last == text.npos ? 0 : last + 1;
}

void read_first_line(const std::string &line, Run &run) {
  const json first = json::parse(line, nullptr, false);
  if (!first.is_object() || !first.contains(kMark) || !first.contains("settings")) {
    throw Error("this is no run of `vase eval`");
  }
  if (first.at(kMark) != kVersion) {
    throw Error(fmt::format("written by another version of `vase eval`: format {}, not {}",
                            first.at(kMark).dump(), kVersion));
  }
  run.settings = first.at("settings");
}

Run parse_run(const std::string &text) {
  Run run;
  const std::size_t end = whole_lines(text);
  run.torn = end < text.size();
  // Only the start of our own first line may be thrown away as torn, not someone's notes.
  if (end == 0 && !fmt::format("{{\"{}\":", kMark).starts_with(text.substr(0, 12))) {
    throw Error("this is no run of `vase eval`");
  }
  std::string cache_types;  // of the whole run: lines of older versions do not name them
  std::size_t at = 0;
  for (int number = 1; at < end; ++number) {
    const std::size_t next = text.find('\n', at);
    const std::string line = text.substr(at, next - at);
    at = next + 1;
    if (number == 1) {
      read_first_line(line, run);
      cache_types = run.settings.value("cache_types", Record().cache_types);
      continue;
    }
    try {
      run.records.push_back(record_from_json(json::parse(line), cache_types));
    } catch (const json::exception &error) {
      throw Error(fmt::format("line {} is damaged: {}", number, error.what()));
    }
  }
  return run;
}

Run parse_run_at(const std::filesystem::path &path, const std::string &text) {
  try {
    return parse_run(text);
  } catch (const Error &error) {
    throw Error(fmt::format("{}: {}", path.string(), error.what()));
  }
}

void check_same(const std::filesystem::path &path, const json &there, const ordered_json &asked) {
  for (const auto &[name, value] : asked.items()) {
    const json before = there.value(name, json());
    if (before == json(value)) continue;
    throw Error(fmt::format(
        "{} was made with {} {}, now it is {}: use the same, or another file with --out",
        path.string(), name, before.dump(), value.dump()));
  }
}

}  // namespace

Run read_run(const std::filesystem::path &path) {
  Run run = parse_run_at(path, content_of(path));
  if (run.settings.is_null()) {
    throw Error(fmt::format("{}: this is no run of `vase eval`", path.string()));
  }
  return run;
}

RunFile::RunFile(const std::filesystem::path &path, const ordered_json &settings) : path_(path) {
  if (path.has_parent_path()) {
    std::error_code error;
    std::filesystem::create_directories(path.parent_path(), error);
  }
  file_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  if (file_ < 0) {
    throw Error(fmt::format("cannot write {}: {}", path.string(), std::strerror(errno)));
  }
  if (::flock(file_, LOCK_EX | LOCK_NB) != 0) {
    ::close(file_);
    throw Error(fmt::format("another process is writing to {}", path.string()));
  }
  try {
    const std::string text = content_of(path);
    run_ = parse_run_at(path, text);
    if (run_.torn && ::ftruncate(file_, static_cast<off_t>(whole_lines(text))) != 0) {
      throw Error(
          fmt::format("cannot cut the torn line off {}: {}", path.string(), std::strerror(errno)));
    }
    if (run_.settings.is_null()) {
      run_.settings = settings;
      write(ordered_json({{kMark, kVersion}, {"settings", settings}}).dump());
    }
    check_same(path, run_.settings, settings);
  } catch (...) {
    ::close(file_);
    throw;
  }
}

RunFile::~RunFile() { ::close(file_); }

void RunFile::append(const Record &record) {
  // Replies of broken models may be cut inside a character.
  write(to_json(record).dump(-1, ' ', false, ordered_json::error_handler_t::replace));
  run_.records.push_back(record);
}

void RunFile::write(const std::string &line) {
  const std::string bytes = line + "\n";
  std::size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t count = ::write(file_, bytes.data() + done, bytes.size() - done);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) {
      throw Error(fmt::format("cannot write {}: {}", path_.string(), std::strerror(errno)));
    }
    done += static_cast<std::size_t>(count);
  }
}

}  // namespace vase::eval
