#include "cli/serve.hpp"

#include <fmt/format.h>

#include <chrono>
#include <exception>
#include <future>
#include <memory>
#include <optional>
#include <sstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "cli/arguments.hpp"
#include "cli/chat_arguments.hpp"
#include "cli/interrupt.hpp"
#include "cli/memory.hpp"
#include "cli/units.hpp"
#include "engine/chat.hpp"
#include "engine/cuda_graphs.hpp"
#include "engine/machine.hpp"
#include "engine/model.hpp"
#include "eval/cache_rows.hpp"
#include "eval/fingerprint.hpp"
#include "eval/text_file.hpp"
#include "server/host_names.hpp"
#include "server/server.hpp"

namespace vase::cli {
namespace {

struct ServeArguments {
  ModelArguments model;
  ContextArguments context;
  PolicyArguments policy;
  SamplingArguments sampling;
  ThinkingArguments thinking;
  std::optional<std::int32_t> n_ctx;
  std::int32_t slots = 4;
  ChatArguments chat;
  std::string alias;
  std::string host = "127.0.0.1";
  int port = 8080;
  std::vector<std::string> api_keys;
  std::string api_key_file;
  std::vector<std::string> allowed_hosts;
  std::string cors_origin;
  bool no_webui = false;
  std::int32_t queue = 64;
  std::int32_t prompt_chunk = 128;
  std::optional<std::int64_t> cache_ram;  // MiB
  std::string cache_dir;
  std::optional<std::int64_t> cache_disk;  // MiB
  std::int64_t max_tokens = 32768;
  std::int64_t max_prompt = 131072;
  std::string max_body = "4MiB";
  double timeout = 600;
  double write_timeout = 30;
  double drain_seconds = 30;
  bool force = false;
};

// ---- from options to the server's terms ---------------------------------------------------------

std::vector<std::string> keys_of(const ServeArguments &arguments) {
  std::vector<std::string> keys = arguments.api_keys;
  if (arguments.api_key_file.empty()) return keys;
  std::istringstream file(eval::read_text_file(arguments.api_key_file));
  for (std::string line; std::getline(file, line);) {
    if (line.ends_with('\r')) line.pop_back();
    if (!line.empty()) keys.push_back(line);
  }
  if (keys.empty()) throw Error(fmt::format("{} holds no key", arguments.api_key_file));
  return keys;
}

std::optional<engine::ChatTemplate> chat_template_of(const ServeArguments &arguments,
                                                     const engine::Model &model) {
  try {
    return arguments.chat.open(model, arguments.model);
  } catch (const Error &error) {
    if (!arguments.chat.options(arguments.model).name_or_text.empty()) throw;
    fmt::print(stderr, "vase: no chat completions: {}\n", error.what());
    return std::nullopt;
  }
}

BoundedOptions bounded_options(const ServeArguments &arguments, const MemoryPlanner &planner) {
  BoundedOptions options{.policy = arguments.policy.params(0),
                         .n_sequences = arguments.slots,
                         .pin_prompt = arguments.policy.pin_prompt,
                         .context = arguments.context.params()};
  arguments.model.check_has_calibration(options.policy.policy);
  const std::int32_t n_ctx_train = llama_model_n_ctx_train(planner.model());
  options.context.n_ctx = static_cast<std::uint32_t>(arguments.n_ctx.value_or(n_ctx_train));
  return options;
}

// Bytes for prompts that are put aside, if nothing else was said: as many as two sequences for each
// slot take, a system message and a turn. Where nothing is evicted sequences may be as long as the
// context, and few are: as many as one such takes.
std::size_t bytes_for_prompts(const ServeArguments &arguments, const MemoryPlan &memory) {
  if (!arguments.cache_ram) {
    return arguments.policy.evicts() ? 2 * memory.kv
                                     : memory.kv / static_cast<std::size_t>(arguments.slots);
  }
  const auto bytes = static_cast<std::uint64_t>(*arguments.cache_ram) << 20U;
  const std::optional<std::uint64_t> available = engine::available_memory();
  if (available && bytes > *available) {
    throw Error(
        fmt::format("--cache-ram {} is {}, and this machine has {} to give: make it smaller",
                    *arguments.cache_ram, format_bytes(bytes), format_bytes(*available)));
  }
  if (bytes == 0 && !arguments.cache_dir.empty()) {
    throw Error("--cache-dir keeps what --cache-ram holds, and that is 0: give one of them up");
  }
  return bytes;
}

// Bytes of files in --cache-dir. By default no less than what is there already: who starts once
// with a smaller --cache-ram has the same folder.
std::uint64_t bytes_for_files(const ServeArguments &arguments, std::uint64_t held) {
  if (arguments.cache_disk) return static_cast<std::uint64_t>(*arguments.cache_disk) << 20U;
  return std::max({std::uint64_t{4} << 30U, held, engine::prompt_bytes_in(arguments.cache_dir)});
}

// All that a prompt which was put aside depends on, beside what its request says.
std::string identity_of(const ServeArguments &arguments) {
  if (arguments.cache_dir.empty()) return {};
  const engine::ModelOptions model = arguments.model.options();
  std::string identity = eval::fingerprint(model.path);
  for (const engine::LoraFile &lora : model.loras) {
    identity += fmt::format(" lora {} {}", eval::fingerprint(lora.path), lora.scale);
  }
  if (!model.calibration.empty())
    identity += " calibration " + eval::fingerprint(model.calibration);
  return identity + " " + eval::cache_types(arguments.context.params());
}

server::ServerOptions server_options(ServeArguments &arguments, std::vector<std::string> keys,
                                     const engine::Model &model, const MemoryPlan &memory) {
  server::ServerOptions options;
  options.port = arguments.port;
  options.model_name =
      arguments.alias.empty() ? arguments.model.file().stem().string() : arguments.alias;
  options.chat_template = chat_template_of(arguments, model);
  options.sampling = arguments.sampling.options;
  options.thinking = arguments.thinking.options;
  if (arguments.sampling.seed >= 0) options.seed = arguments.sampling.resolved().seed;
  options.schedule = {.prompt_chunk = arguments.prompt_chunk,
                      .queue = static_cast<std::size_t>(arguments.queue),
                      .prompt_cache = memory.snapshots,
                      .cache_folder = arguments.cache_dir,
                      .cache_folder_limit = bytes_for_files(arguments, memory.snapshots),
                      .identity = identity_of(arguments)};
  options.recency = arguments.policy.recency;
  options.interval = arguments.policy.interval;
  options.loop_guard = arguments.policy.loop_guard;
  options.max_tokens = arguments.max_tokens;
  options.limits = {.max_prompt_tokens = arguments.max_prompt,
                    .timeout = std::chrono::duration<double>(arguments.timeout)};
  options.patience.write = std::chrono::duration_cast<std::chrono::milliseconds>(
      std::chrono::duration<double>(arguments.write_timeout));
  options.routes = {.access = {.api_keys = std::move(keys),
                               .cors_origin = arguments.cors_origin,
                               .host = arguments.host,
                               .allowed_hosts = arguments.allowed_hosts},
                    .web_page = !arguments.no_webui,
                    .max_body = static_cast<std::size_t>(parse_bytes(arguments.max_body))};
  options.memory = memory;
  options.full_cache_bytes = [full_cache = FullCacheCost(memory)](std::int64_t tokens) {
    return tokens == 0 ? 0 : full_cache.at(tokens);
  };
  return options;
}

// ---- running ------------------------------------------------------------------------------------

void print_memory(const MemoryPlan &memory, const ServeArguments &arguments) {
  fmt::print(stderr,
             "vase: weights {} + KV cache {} + evictions {} + compute {} + prompts put aside {} = "
             "{} in all\n",
             format_bytes(memory.loaded()), format_bytes(memory.kv), format_bytes(memory.queries),
             format_bytes(memory.compute + memory.structures), format_bytes(memory.snapshots),
             format_bytes(memory.total()));
  fmt::print(stderr, "vase: {} slots of {} rows, policy {}\n", memory.n_sequences,
             with_commas(memory.budget > 0 ? memory.budget : memory.cells),
             arguments.policy.policy);
}

engine::Model load(const ServeArguments &arguments) {
  engine::ModelOptions options = arguments.model.options();
  options.progress = [](float) { return !interrupted(); };
  try {
    return engine::Model(options);
  } catch (const engine::LoadStopped &) {
    throw Interrupted();
  }
}

// In a thread that ends, for making a context decodes a token, and OpenMP would keep that thread's
// workers beside those of the engine's thread. With more workers than processors it lets all of
// them sleep between any two operations, which cost a quarter of the speed.
BoundedContext make_context(const engine::Model &model, const BoundedOptions &options) {
  return std::async(std::launch::async, [&] { return model.make_context(options); }).get();
}

// Answers until a signal comes, then lets the requests at work end. A second signal ends the
// process at once.
void answer_until_signalled(server::Server &server, const ServeArguments &arguments) {
  std::thread listener([&] { server.listen(); });
  fmt::print(stderr, "vase: listening on http://{}:{}\n", arguments.host, server.port());
  while (!interrupted()) std::this_thread::sleep_for(std::chrono::milliseconds(50));
  fmt::print(stderr, "vase: shutting down, up to {} s for the requests at work\n",
             arguments.drain_seconds);
  if (!server.stop(std::chrono::duration<double>(arguments.drain_seconds))) {
    fmt::print(stderr, "vase: some requests took longer and were ended\n");
  }
  listener.join();
}

void serve(ServeArguments arguments) {
  arguments.thinking.check_room(arguments.max_tokens);
  server::return_freed_memory();
  install_interrupt_handlers();
  engine::avoid_cuda_graphs(1, arguments.slots);
  arguments.model.start_llama();
  if (arguments.n_ctx && arguments.policy.evicts()) {
    throw Error(
        fmt::format("--ctx-size is for --policy {}: with {}, --budget says how many rows "
                    "each slot holds, and texts may be of any length",
                    vase_policy_name(vase_policy_full()), arguments.policy.policy));
  }
  // What is wrong with them is known before anything loads.
  std::vector<std::string> keys = keys_of(arguments);
  arguments.chat.options(arguments.model);
  BoundedOptions options;
  MemoryPlan memory;
  {
    const MemoryPlanner planner = arguments.model.planner();
    options = bounded_options(arguments, planner);
    memory = planner.plan_total(options);
    memory.snapshots = bytes_for_prompts(arguments, memory);
  }
  print_memory(memory, arguments);
  if (!arguments.force) {
    check_memory(memory, memory_for_model(arguments.model.n_gpu_layers),
                 "--budget, --parallel or --cache-ram");
  }
  const engine::Model model = load(arguments);
  BoundedContext context = make_context(model, options);
  server::Server server(model, context, server_options(arguments, std::move(keys), model, memory));
  answer_until_signalled(server, arguments);
}

// ---- options ------------------------------------------------------------------------------------

std::string check_size(const std::string &text) {
  try {
    parse_bytes(text);
    return {};
  } catch (const Error &error) {
    return error.what();
  }
}

std::string check_host(const std::string &name) {
  try {
    const server::HostNames names("", {name});
    return {};
  } catch (const Error &error) {
    return error.what();
  }
}

void add_network_options(CLI::App &app, ServeArguments &arguments) {
  const auto option = [&](const char *name, auto &value, const char *help) {
    return app.add_option(name, value, help)->group("Network")->capture_default_str();
  };
  option("--host", arguments.host, "address to listen on");
  option("--port", arguments.port, "port to listen on; 0: any that is free")
      ->check(at_least(0, 65535));
  option("--api-key", arguments.api_keys,
         "key that requests must carry, may be given several times")
      ->envname("VASE_API_KEY");
  option("--api-key-file", arguments.api_key_file, "file of such keys, one a line");
  option("--allowed-host", arguments.allowed_hosts,
         "without a key: other name by which this server is asked, for example at a proxy, may be "
         "given several times; *: any")
      ->check(CLI::Validator(check_host, ""));
  option("--cors-origin", arguments.cors_origin,
         "web pages of this origin may send requests; *: all (default: none but our own)");
  option("--max-body", arguments.max_body, "size of a request body, at most")
      ->check(CLI::Validator(check_size, ""));
  app.add_flag("--no-webui", arguments.no_webui, "do not serve the web page")->group("Network");
}

void add_serving_options(CLI::App &app, ServeArguments &arguments) {
  const auto option = [&](const char *name, auto &value, const char *help) {
    return app.add_option(name, value, help)->group("Requests")->capture_default_str();
  };
  option("--parallel,--np", arguments.slots, "answers that are written side by side")
      ->check(at_least(1));
  option("--queue", arguments.queue, "answers that may wait for a slot; beyond, clients get 429")
      ->check(at_least(0, 4096));
  option("-n,--n-predict", arguments.max_tokens, "tokens of an answer, at most")
      ->check(at_least(1));
  option("--max-prompt", arguments.max_prompt, "tokens of a prompt, at most")->check(at_least(1));
  option("--prompt-chunk", arguments.prompt_chunk,
         "tokens of prompts that are read between two tokens of the other slots")
      ->check(at_least(1));
  app.add_option("--cache-ram", arguments.cache_ram,
                 "MiB for prompts that are put aside, so that the next turn of a conversation does "
                 "not read them again; 0: all is read again (default: twice the KV cache; with a "
                 "policy that does not evict, the cache of one slot)")
      ->check(at_least(0))
      ->group("Requests");
  CLI::Option *folder =
      app.add_option("--cache-dir", arguments.cache_dir,
                     "folder in which they outlive the server, read when it starts; several "
                     "servers may share it")
          ->group("Requests");
  app.add_option(
         "--cache-disk", arguments.cache_disk,
         "MiB of files in that folder, of all servers that share it; what was not used "
         "longest goes first (default: 4096, or --cache-ram or what is there if that is more)")
      ->check(at_least(1))
      ->needs(folder)
      ->group("Requests");
  option("--timeout", arguments.timeout, "seconds that a request may take, waiting included")
      ->check(between(0.1, 1e6));
  option("--write-timeout", arguments.write_timeout,
         "seconds for which a client may take nothing of what is sent to it")
      ->check(between(0.1, 1e6));
  option("--drain-seconds", arguments.drain_seconds,
         "after SIGTERM: seconds for the requests at work to end")
      ->check(between(0, 1e6));
}

}  // namespace

void add_serve_command(CLI::App &app) {
  CLI::App *command =
      app.add_subcommand("serve", "an OpenAI-compatible server whose memory is fixed at the start");
  const auto arguments = std::make_shared<ServeArguments>();
  arguments->model.add_to(*command);
  command->add_option("-a,--alias", arguments->alias, "the model's name (default: the file's)");
  arguments->chat.add_to(*command);
  arguments->policy.add_to(*command);
  arguments->policy.add_guard_to(*command);
  command
      ->add_option("-c,--ctx-size", arguments->n_ctx,
                   fmt::format("--policy {}: tokens that each slot holds",
                               vase_policy_name(vase_policy_full())))
      ->check(at_least(1))
      ->group("Cache");
  add_serving_options(*command, *arguments);
  add_network_options(*command, *arguments);
  arguments->sampling.add_to(*command);
  arguments->thinking.add_to(*command);
  arguments->context.add_to(*command);
  command->add_flag("--force", arguments->force,
                    "start even if the memory does not seem to suffice");
  command->footer(
      "Sampling options are the defaults of requests that do not say otherwise. The endpoints are\n"
      "described in docs/server.md and at /openapi.json. SIGTERM and Ctrl-C shut down in good\n"
      "order; a second one at once.");
  command->callback([arguments] { serve(*arguments); });
}

}  // namespace vase::cli
