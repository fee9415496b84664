#include "engine/rpc_servers.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include <charconv>
#include <chrono>
#include <csignal>
#include <string_view>
#include <thread>

#include "ggml-backend.h"
#include "ggml.h"
#include "vase/llama.hpp"

namespace vase::engine {
namespace {

using AddServer = ggml_backend_reg_t (*)(const char *endpoint);

constexpr std::chrono::seconds kPatience{10};
constexpr auto kBetweenLooks = std::chrono::milliseconds(10);

bool is_address(std::string_view text) {
  const std::size_t colon = text.find(':');
  if (colon == 0 || colon == std::string_view::npos) return false;
  const std::string_view digits = text.substr(colon + 1);
  int port = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
  return error == std::errc{} && end == digits.data() + digits.size() && port > 0 && port < 65536;
}

// llama.cpp's own client ends the process, or waits without end, where no such server answers. So a
// child asks first.
bool answers(AddServer add_server, const std::string &address) {
  const pid_t child = fork();
  if (child < 0) throw Error("--rpc: cannot start a process that asks the server");
  if (child == 0) {
    if (const int nowhere = open("/dev/null", O_WRONLY); nowhere >= 0) dup2(nowhere, STDERR_FILENO);
    ggml_set_abort_callback([](const char *) { _exit(1); });
    _exit(add_server(address.c_str()) == nullptr ? 1 : 0);
  }
  int status = 0;
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  while (waitpid(child, &status, WNOHANG) == 0) {
    if (std::chrono::steady_clock::now() >= deadline) {
      kill(child, SIGKILL);
      waitpid(child, &status, 0);
      break;
    }
    std::this_thread::sleep_for(kBetweenLooks);
  }
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

}  // namespace

void add_rpc_servers(const std::vector<std::string> &addresses) {
  if (addresses.empty()) return;
  for (const std::string &address : addresses) {
    if (!is_address(address)) {
      throw Error(
          fmt::format("--rpc \"{}\": an address is HOST:PORT, and a server of llama.cpp "
                      "listens at port 50052 unless told otherwise",
                      address));
    }
  }
  const ggml_backend_reg_t rpc = ggml_backend_reg_by_name("RPC");
  if (rpc == nullptr) {
    throw Error(
        "--rpc: this libllama has no RPC backend; `VASE_BACKENDS=rpc make build` builds "
        "one that has it");
  }
  const auto add_server = reinterpret_cast<AddServer>(
      ggml_backend_reg_get_proc_address(rpc, "ggml_backend_rpc_add_server"));
  for (const std::string &address : addresses) {
    if (!answers(add_server, address)) {
      throw Error(
          fmt::format("--rpc {}: no ggml-rpc-server of the same llama.cpp version answers "
                      "there within {} s; it serves one client at a time",
                      address, kPatience.count()));
    }
    ggml_backend_register(add_server(address.c_str()));
  }
}

}  // namespace vase::engine
