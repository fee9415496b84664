// Standard output and files, with every failure noticed.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <stdexcept>
#include <string>
#include <string_view>

namespace vase::cli {

/// Whoever read our output has closed it (`vase run | head`): the program ends without a word.
class OutputClosed : public std::runtime_error {
 public:
  OutputClosed() : std::runtime_error("the output was closed") {}
};

/// Writes a file, whatever it held before. Throws Error if that fails.
void write_json_file(const std::string &path, const nlohmann::ordered_json &json);

/// Writes and flushes. Throws OutputClosed, or Error if writing failed in another way.
void write_output(std::string_view text);

}  // namespace vase::cli
