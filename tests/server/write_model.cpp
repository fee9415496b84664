// write_model PATH [CHAT_TEMPLATE]: writes the tiny random model of the endpoint tests, whose
// tokens are single characters.
#include <cstdio>
#include <exception>

#include "../engine/text_model.hpp"

int main(int argc, char **argv) {
  try {
    vase::engine::test::write_text_model(argv[1], argc > 2 ? argv[2] : "");
    return 0;
  } catch (const std::exception &error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
