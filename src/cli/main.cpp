#include "cli/app.hpp"

int main(int argc, char **argv) { return vase::cli::run_app(argc, argv); }
