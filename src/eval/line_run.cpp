#include "eval/line_run.hpp"

#include <fmt/format.h>

#include <utility>

#include "vase/llama.hpp"

namespace vase::eval {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

// Bytes of `text` up to the end of its last whole line. A line is whole if its newline is there.
std::size_t whole_lines(const std::string &text) {
  const auto last = text.rfind('\n');
  return last == text.npos ? 0 : last + 1;
}

Error no_run(const LineRunKind &kind) {
  return Error(fmt::format("this is no run of `{}`", kind.command));
}

json settings_of(const std::string &line, const LineRunKind &kind) {
  const json first = json::parse(line, nullptr, false);
  if (!first.is_object() || !first.contains(kind.mark) || !first.contains("settings")) {
    throw no_run(kind);
  }
  if (first.at(kind.mark) != kind.version) {
    throw Error(fmt::format("written by another version of `{}`: format {}, not {}", kind.command,
                            first.at(kind.mark).dump(), kind.version));
  }
  return first.at("settings");
}

LineRun parse(const std::string &text, const LineRunKind &kind, const VisitLine &visit) {
  LineRun run;
  run.whole = whole_lines(text);
  run.torn = run.whole < text.size();
  // Only the start of our own first line may be thrown away as torn, not someone's notes.
  const std::string beginning = fmt::format("{{\"{}\":", kind.mark);
  if (run.whole == 0 && !beginning.starts_with(text.substr(0, beginning.size()))) {
    throw no_run(kind);
  }
  std::size_t at = 0;
  for (int number = 1; at < run.whole; ++number) {
    const std::size_t next = text.find('\n', at);
    const std::string line = text.substr(at, next - at);
    at = next + 1;
    if (number == 1) {
      run.settings = settings_of(line, kind);
      continue;
    }
    try {
      visit(json::parse(line), run.settings);
    } catch (const json::exception &error) {
      throw Error(fmt::format("line {} is damaged: {}", number, error.what()));
    }
  }
  return run;
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

LineRun parse_line_run(const std::filesystem::path &path, const std::string &text,
                       const LineRunKind &kind, const VisitLine &visit) {
  try {
    return parse(text, kind, visit);
  } catch (const Error &error) {
    throw Error(fmt::format("{}: {}", path.string(), error.what()));
  }
}

LineRun read_line_run(const std::filesystem::path &path, const LineRunKind &kind,
                      const VisitLine &visit) {
  LineRun run = parse_line_run(path, read_text_file(path), kind, visit);
  if (run.settings.is_null()) {
    throw Error(fmt::format("{}: {}", path.string(), no_run(kind).what()));
  }
  return run;
}

LineRunFile::LineRunFile(const std::filesystem::path &path, const LineRunKind &kind,
                         const ordered_json &settings, const VisitLine &visit)
    : file_(path) {
  run_ = parse_line_run(path, read_text_file(path), kind, visit);
  if (run_.torn) file_.cut(run_.whole);
  if (run_.settings.is_null()) {
    run_.settings = settings;
    opening_ = ordered_json({{kind.mark, kind.version}, {"settings", settings}}).dump();
  }
  check_same(path, run_.settings, settings);
}

void LineRunFile::begin() {
  if (!opening_.empty()) file_.append(std::exchange(opening_, {}));
}

void LineRunFile::append(const ordered_json &line) {
  begin();
  file_.append(line.dump(-1, ' ', false, ordered_json::error_handler_t::replace));
}

}  // namespace vase::eval
