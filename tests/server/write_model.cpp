// write_model PATH [CHAT_TEMPLATE [bytes]]: writes the tiny random model of the endpoint tests,
// whose tokens are single characters; with "bytes" four of them are the bytes of one character.
#include <cstdio>
#include <exception>

#include "../engine/text_model.hpp"

int main(int argc, char **argv) {
  try {
    using vase::engine::test::Bytes;
    vase::engine::test::write_text_model(argv[1], argc > 2 ? argv[2] : "",
                                         argc > 3 ? Bytes::of_a_smile : Bytes::none);
    return 0;
  } catch (const std::exception &error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
