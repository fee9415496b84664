#include "cli/prompt.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <memory>

#include "engine/utf8.hpp"
#include "vase/llama.hpp"

namespace vase::cli {
namespace {

struct Closer {
  void operator()(std::FILE *file) const { std::fclose(file); }
};

std::string read_all(std::FILE *file, const std::string &name) {
  std::string text;
  std::array<char, 65536> buffer{};
  for (;;) {
    const std::size_t n = std::fread(buffer.data(), 1, buffer.size(), file);
    text.append(buffer.data(), n);
    if (n > 0) continue;
    if (std::ferror(file) != 0) {
      throw Error(fmt::format("cannot read {}: {}", name, std::strerror(errno)));
    }
    return text;
  }
}

std::string read_file(const std::string &path) {
  const std::unique_ptr<std::FILE, Closer> file(std::fopen(path.c_str(), "rb"));
  if (!file) throw Error(fmt::format("cannot open {}: {}", path, std::strerror(errno)));
  return read_all(file.get(), path);
}

std::string checked(std::string prompt, const std::string &name) {
  if (const auto at = engine::find_invalid_utf8(prompt)) {
    throw Error(fmt::format("{} is not valid UTF-8 (byte 0x{:02x} at offset {})", name,
                            static_cast<unsigned char>(prompt[*at]), *at));
  }
  if (prompt.empty()) throw Error(fmt::format("{} is empty", name));
  return prompt;
}

std::string without_last_newline(std::string text) {
  if (text.ends_with('\n')) text.pop_back();
  if (text.ends_with('\r')) text.pop_back();  // the line ended as Windows ends lines
  return text;
}

}  // namespace

std::string read_prompt(const std::optional<std::string> &text,
                        const std::optional<std::string> &file) {
  if (text) return checked(*text, "the prompt");
  const bool from_stdin = file ? *file == "-" : isatty(STDIN_FILENO) == 0;
  if (from_stdin) {
    const std::string name = "the prompt on the standard input";
    return checked(without_last_newline(read_all(stdin, name)), name);
  }
  if (!file) throw Error("no prompt: give -p TEXT or -f FILE, or pipe one in");
  return checked(without_last_newline(read_file(*file)), "the prompt file " + *file);
}

}  // namespace vase::cli
