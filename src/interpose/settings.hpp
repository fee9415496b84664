// What `vase exec` tells the library that it puts in front of libllama.
#pragma once

#include <cstdint>
#include <string>

#include "vase/vase.h"

namespace vase::interpose {

/// The environment variable that carries the settings. Without it the library does nothing.
inline constexpr const char *kVariable = "VASE_EXEC";
/// Set beside it: the library says which libllama it is in front of, and ends the process.
inline constexpr const char *kProbeVariable = "VASE_EXEC_PROBE";

struct Settings {
  vase_params policy{};                    ///< of every sequence of every context
  float pin_prompt = 0.0f;                 ///< share of the budget
  std::string calibration;                 ///< file of `vase calibrate`; "": none
  std::string libllama;                    ///< its version, as version_of_libllama() says it
  std::uint16_t metrics_port = 0;          ///< 0: nothing is served
  std::string metrics_host = "127.0.0.1";  ///< an IPv4 address
  int observatory = 0;                     ///< 1: the web page, too
};

/// llama.cpp's and ggml's version in one word. A library built against one of them must not run in
/// front of another: structures are passed by value.
std::string version_of_libllama();

/// As "name=value,..." without blanks and quotes, so that it goes into any file of variables.
std::string to_text(const Settings &settings);
/// Throws Error, in one line, if the text is not what to_text() writes, or no policy fits it.
Settings settings_from(const std::string &text);

}  // namespace vase::interpose
