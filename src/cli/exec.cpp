#include "cli/exec.hpp"

#include <elf.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <link.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "cli/arguments.hpp"
#include "cli/default_files.hpp"
#include "cli/output.hpp"
#include "cli/policy_list.hpp"
#include "interpose/http_listener.hpp"
#include "interpose/settings.hpp"
#include "vase/llama.hpp"

namespace vase::cli {
namespace {

namespace fs = std::filesystem;

struct ExecArguments {
  PolicyArguments policy;
  std::uint64_t seed = 0;
  std::string calibration;
  bool loop_guard = false;
  bool print_env = false;
  std::uint16_t metrics_port = 0;
  std::string metrics_host = "127.0.0.1";
  bool observatory = false;
  std::vector<std::string> command;
};

// ---- the program --------------------------------------------------------------------------------

// As a shell finds it.
fs::path find_program(const std::string &name) {
  if (name.find('/') != std::string::npos) {
    if (access(name.c_str(), X_OK) == 0) return name;
    throw Error(fmt::format("cannot run {}: {}", name, std::strerror(errno)));
  }
  const char *path = std::getenv("PATH");
  std::istringstream folders(path == nullptr ? "" : path);
  for (std::string folder; std::getline(folders, folder, ':');) {
    const fs::path candidate = fs::path(folder.empty() ? "." : folder) / name;
    if (access(candidate.c_str(), X_OK) == 0 && fs::is_regular_file(candidate)) return candidate;
  }
  throw Error(fmt::format("there is no program {} on the PATH; name it with its folder", name));
}

std::vector<char *> c_strings(const std::vector<std::string> &strings) {
  std::vector<char *> pointers;
  for (const std::string &text : strings) pointers.push_back(const_cast<char *>(text.c_str()));
  pointers.push_back(nullptr);
  return pointers;
}

// What a program prints; `variables` ("name=value") are added to its environment. Its complaints
// are dropped: what is asked here can be answered by nothing.
std::string output_of(const std::vector<std::string> &command,
                      const std::vector<std::string> &variables = {}) {
  std::array<int, 2> ends{};
  if (pipe(ends.data()) != 0) throw Error(fmt::format("no pipe: {}", std::strerror(errno)));
  const pid_t child = fork();
  if (child < 0)
    throw Error(fmt::format("cannot start {}: {}", command.front(), std::strerror(errno)));
  if (child == 0) {
    dup2(ends[1], STDOUT_FILENO);
    dup2(open("/dev/null", O_RDWR), STDERR_FILENO);
    close(ends[0]);
    for (const std::string &variable : variables) putenv(const_cast<char *>(variable.c_str()));
    std::vector<char *> arguments = c_strings(command);
    execv(arguments.front(), arguments.data());
    _exit(127);
  }
  close(ends[1]);
  std::string output;
  std::array<char, 4096> buffer{};
  for (ssize_t n = 0; (n = read(ends[0], buffer.data(), buffer.size())) != 0;) {
    if (n < 0 && errno != EINTR) break;
    if (n > 0) output.append(buffer.data(), static_cast<std::size_t>(n));
  }
  close(ends[0]);
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return output;
}

// The dynamic linker that a program asks for; empty if it asks for none.
std::string interpreter_of(const fs::path &program) {
  std::ifstream file(program, std::ios::binary);
  ElfW(Ehdr) header{};
  file.read(reinterpret_cast<char *>(&header), sizeof(header));
  if (!file || std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0)
    throw Error(fmt::format(
        "{} is no program but a script: put vase exec before the program that it starts, inside it",
        program.string()));
  for (std::size_t i = 0; i < header.e_phnum; ++i) {
    ElfW(Phdr) part{};
    file.seekg(static_cast<std::streamoff>(header.e_phoff + i * header.e_phentsize));
    file.read(reinterpret_cast<char *>(&part), sizeof(part));
    if (!file || part.p_type != PT_INTERP) continue;
    std::string name(part.p_filesz, '\0');
    file.seekg(static_cast<std::streamoff>(part.p_offset));
    file.read(name.data(), static_cast<std::streamsize>(name.size()));
    return name.c_str();  // without the zero at its end
  }
  return {};
}

// Python loads libllama when a script says so, and looks its functions up in that library alone.
void check_python(const std::string &program) {
  const std::string name = fs::path(program).filename().string();
  if (!name.starts_with("python")) return;
  throw Error(fmt::format(
      "{} loads llama.cpp later, when it is told to: start it as {} -m vase.llama_cpp SCRIPT, or "
      "import vase.llama_cpp",
      program, name));
}

// Refuses a program that the library cannot stand in front of. The dynamic linker is asked what it
// would load; nothing of the program runs.
void check_program(const fs::path &program) {
  const std::string linker = interpreter_of(program);
  if (!linker.empty() &&
      output_of({linker, "--list", program.string()}).find("libllama.so") != std::string::npos)
    return;
  throw Error(fmt::format(
      "{} does not load a shared libllama when it starts (it is a static build, loads it later, or "
      "is no program of llama.cpp): build llama.cpp with -DBUILD_SHARED_LIBS=ON, its default, or "
      "take vase serve",
      program.string()));
}

// Refuses another libllama than the one that this program was built with.
void check_version(const fs::path &program, const std::string &preload) {
  std::string found =
      output_of({program.string()}, {preload, std::string(interpose::kProbeVariable) + "=1"});
  if (found.ends_with('\n')) found.pop_back();
  const std::string own = interpose::version_of_libllama();
  if (found == own) return;
  if (found.empty())
    throw Error(fmt::format("{} cannot be started with {}", program.string(), preload));
  throw Error(fmt::format(
      "{} runs with llama.cpp {} (ggml behind the stroke), and this vase was built for {}: build "
      "vase against that llama.cpp (CMAKE_PREFIX_PATH=where/it/is/installed make build)",
      program.string(), found, own));
}

// ---- the command --------------------------------------------------------------------------------

// In front of whatever else is preloaded.
std::string preload_with(const fs::path &library) {
  const char *before = std::getenv("LD_PRELOAD");
  const bool other = before != nullptr && *before != '\0';
  return fmt::format("LD_PRELOAD={}{}{}", library.string(), other ? ":" : "", other ? before : "");
}

std::string settings_of(const ExecArguments &arguments) {
  if (arguments.loop_guard)
    throw Error(
        "--loop-guard takes back what was written, and a program cannot be told that: use vase "
        "serve --loop-guard");
  if (!arguments.policy.evicts())
    throw Error(fmt::format("policy {} does not evict: start the program without vase exec",
                            arguments.policy.policy));
  refuse_useless_calibration(arguments.calibration,
                             {vase_policy_find(arguments.policy.policy.c_str())});
  std::string calibration;
  if (!arguments.calibration.empty()) calibration = fs::absolute(arguments.calibration).string();
  if (calibration.find(',') != std::string::npos)
    throw Error(
        fmt::format("a calibration with a comma in its name cannot be handed on: {}", calibration));
  const interpose::Settings settings{.policy = arguments.policy.params(arguments.seed),
                                     .pin_prompt = arguments.policy.pinned_share(),
                                     .calibration = calibration,
                                     .libllama = interpose::version_of_libllama(),
                                     .metrics_port = arguments.metrics_port,
                                     .metrics_host = arguments.metrics_host,
                                     .observatory = arguments.observatory ? 1 : 0};
  return fmt::format("{}={}", interpose::kVariable, interpose::to_text(settings));
}

void start(const ExecArguments &arguments) {
  const std::string settings = settings_of(arguments);
  const std::string preload = preload_with(interposed_library());
  if (arguments.print_env) return write_output(preload + "\n" + settings + "\n");
  if (arguments.command.empty())
    throw Error("no program given: vase exec --budget 4096 -- llama-server -m model.gguf");
  check_python(arguments.command.front());
  const fs::path program = find_program(arguments.command.front());
  check_program(program);
  check_version(program, preload);
  // Closed again: the program listens. Who takes it in between is found out by then, too.
  if (arguments.metrics_port != 0)
    close(interpose::listen_at(arguments.metrics_host, arguments.metrics_port));
  const vase_params params = arguments.policy.params(arguments.seed);
  fmt::print(stderr, "vase exec: {} under {}, {} rows a sequence\n", program.filename().string(),
             arguments.policy.policy, params.budget);
  for (const std::string &variable : {preload, settings}) {
    const std::size_t equals = variable.find('=');
    setenv(variable.substr(0, equals).c_str(), variable.c_str() + equals + 1, 1);
  }
  std::vector<char *> command = c_strings(arguments.command);
  execv(program.c_str(), command.data());
  throw Error(fmt::format("cannot run {}: {}", program.string(), std::strerror(errno)));
}

}  // namespace

void add_exec_command(CLI::App &app) {
  CLI::App *command =
      app.add_subcommand("exec",
                         "llama-server, or another program of llama.cpp's, with its KV "
                         "cache bounded");
  const auto arguments = std::make_shared<ExecArguments>();
  arguments->policy.add_to(*command);
  command->add_option("-s,--seed", arguments->seed, "of the draws")->capture_default_str();
  command->add_option("--calibration", arguments->calibration,
                      "file of `vase calibrate`, for policies that need one");
  command->add_flag("--loop-guard", arguments->loop_guard)->group("");
  CLI::Option *port =
      command
          ->add_option("--metrics-port", arguments->metrics_port,
                       "serve metrics for Prometheus at this port, from inside the program")
          ->check(CLI::Range(1, 65535));
  command
      ->add_option("--metrics-host", arguments->metrics_host,
                   "at this IPv4 address; 0.0.0.0: all of this machine")
      ->needs(port)
      ->capture_default_str();
  command
      ->add_flag("--observatory", arguments->observatory,
                 "serve the page, too, that shows which rows each head holds")
      ->needs(port);
  command->add_flag("--print-env", arguments->print_env,
                    "print the variables that do it, for a service or a container, and start "
                    "nothing");
  command
      ->add_option("command", arguments->command,
                   "the program and its arguments, behind --: -- llama-server -m model.gguf ...")
      ->option_text("-- PROGRAM ...");
  command->positionals_at_end();
  command->callback([arguments] { start(*arguments); });
}

}  // namespace vase::cli
