// libFuzzer on the request parser. It needs clang and nothing of llama.cpp:
//
//     cmake -S tests/server/fuzz -B build/fuzz -G Ninja -DCMAKE_CXX_COMPILER=clang++
//     cmake --build build/fuzz
//     build/fuzz/request_parser_fuzz -max_total_time=60 build/fuzz/corpus tests/server/fuzz/corpus
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "../parser_rules.hpp"
#include "server/error.hpp"
#include "server/request_parser.hpp"

// The first byte chooses the endpoint.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size) {
  using namespace vase::server;
  if (size == 0) return 0;
  static const RequestRules rules = test_rules();
  const Api api = data[0] % 2 == 0 ? Api::chat : Api::completions;
  const std::string_view text(reinterpret_cast<const char *>(data) + 1, size - 1);
  try {
    parse_request(api, text, rules);
  } catch (const ApiError &error) {
    const bool names_field = std::string_view(error.what()).substr(0, error.param().size()) ==
                             std::string_view(error.param());
    if (error.status() != 400 || error.param().empty() || !names_field || error.body().empty()) {
      std::abort();
    }
  }
  return 0;
}
