// Standard output, with every failure noticed.
#pragma once

#include <stdexcept>
#include <string_view>

namespace vase::cli {

/// Whoever read our output has closed it (`vase run | head`): the program ends without a word.
class OutputClosed : public std::runtime_error {
 public:
  OutputClosed() : std::runtime_error("the output was closed") {}
};

/// Writes and flushes. Throws OutputClosed, or Error if writing failed in another way.
void write_output(std::string_view text);

}  // namespace vase::cli
