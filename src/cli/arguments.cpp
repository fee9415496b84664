#include "cli/arguments.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <iterator>
#include <limits>
#include <map>
#include <random>
#include <string_view>

#include "cli/default_files.hpp"
#include "cli/interrupt.hpp"
#include "cli/model_catalogue.hpp"
#include "cli/policy_list.hpp"
#include "cli/suggest.hpp"
#include "core/selection.hpp"
#include "engine/log.hpp"
#include "engine/machine.hpp"
#include "engine/rpc_servers.hpp"
#include "llama/plan/calibration.hpp"

namespace vase::cli {
namespace {

constexpr std::int32_t kDefaultBudget = 4096;  // as published
constexpr float kDefaultPin = 0.5f;
constexpr const char *kModelGroup = "Model";
constexpr const char *kPolicyGroup = "Cache";
constexpr const char *kContextGroup = "Machine";
constexpr const char *kSamplingGroup = "Sampling";

const std::map<std::string, ggml_type> kCacheTypes = {{"f32", GGML_TYPE_F32},
                                                      {"f16", GGML_TYPE_F16},
                                                      {"bf16", GGML_TYPE_BF16},
                                                      {"q8_0", GGML_TYPE_Q8_0},
                                                      {"q4_0", GGML_TYPE_Q4_0}};

const std::map<std::string, llama_split_mode> kSplitModes = {{"none", LLAMA_SPLIT_MODE_NONE},
                                                             {"layer", LLAMA_SPLIT_MODE_LAYER},
                                                             {"row", LLAMA_SPLIT_MODE_ROW}};

// Parses all of `text`; nullopt if it is not such a number or out of range.
template <typename Number>
std::optional<Number> parse(std::string_view text) {
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::string did_you_mean(const std::string &word, const std::vector<std::string> &names) {
  const std::string guess = nearest(word, names);
  return guess.empty() ? "" : fmt::format(", did you mean \"{}\"?", guess);
}

std::string check_policy(const std::string &name) {
  if (vase_policy_find(name.c_str()) != nullptr) return {};
  if (const std::string why = why_not_a_policy(name); !why.empty()) return why;
  return fmt::format("unknown policy \"{}\"{} (`vase policies` lists them)", name,
                     did_you_mean(name, policy_names()));
}

std::string check_cache_type(const std::string &name) {
  if (kCacheTypes.contains(name)) return {};
  std::vector<std::string> names;
  for (const auto &[known, type] : kCacheTypes) names.push_back(known);
  return fmt::format("unknown cache type \"{}\" (known: {})", name, fmt::join(names, ", "));
}

std::string check_split_mode(const std::string &name) {
  if (kSplitModes.contains(name)) return {};
  if (name == "tensor") {
    return "tensor would leave a part of each layer's cache on each GPU, which evictions do not "
           "reach: take layer, or row";
  }
  return fmt::format("unknown split mode \"{}\" (known: none, layer, row)", name);
}

// A script's variable that is not set must not become the default model.
std::string check_named(const std::string &name) {
  return name.empty() ? "the name is empty; leave the option out for the default" : "";
}

// Rows, a share of the budget, or found from the values: "256", "25%", "auto".
std::optional<std::int32_t> protected_rows(std::string_view text, std::int32_t budget) {
  if (text == "auto") return VASE_PROTECT_AUTO;
  if (!text.ends_with('%')) {
    const auto rows = parse<std::int32_t>(text);
    return rows && *rows >= 0 ? rows : std::nullopt;
  }
  text.remove_suffix(1);
  const auto percent = parse<double>(text);
  if (!percent || !(*percent >= 0 && *percent <= 100)) return std::nullopt;
  return static_cast<std::int32_t>(*percent / 100 * budget);
}

std::string check_protect(const std::string &text) {
  if (protected_rows(text, 100)) return {};
  return fmt::format("\"{}\" is neither a number of rows nor a share like 25% nor auto", text);
}

// "divides the attention logits (NAME, NAME)": what an option does, and for whom.
std::string help_of(const char *text, const char *parameter) {
  return fmt::format("{} ({})", text, fmt::join(policies_that_look_at(parameter), ", "));
}

void set_if_given(std::int32_t &to, const std::optional<std::int32_t> &from) {
  if (from) to = *from;
}

}  // namespace

CLI::Validator known_policy() { return {check_policy, ""}; }

CLI::Validator at_least(std::int64_t low, std::int64_t high) {
  const auto check = [low, high](const std::string &text) -> std::string {
    const auto value = parse<std::int64_t>(text);
    if (!value) return fmt::format("\"{}\" is not a whole number that fits", text);
    if (*value < low) return fmt::format("must be at least {}, not {}", low, text);
    return *value <= high ? "" : fmt::format("must be at most {}, not {}", high, text);
  };
  return {check, ""};
}

CLI::Validator between(double low, double high) {
  const auto check = [low, high](const std::string &text) -> std::string {
    const auto value = parse<double>(text);
    if (!value) return fmt::format("\"{}\" is not a number", text);
    if (*value >= low && *value <= high) return {};
    return fmt::format("must be from {} to {}, not {}", low, high, text);
  };
  return {check, ""};
}

void ModelArguments::add_to(CLI::App &app) {
  app.add_option("-m,--model", path,
                 "GGUF file, or a name that `vase models` lists (default: SmolLM2-135M-Instruct "
                 "with the reasoner's adapter)")
      ->check(CLI::Validator(check_named, ""))
      ->group(kModelGroup);
  app.add_flag("--no-reasoner", no_reasoner, "the default model without the reasoner's adapter")
      ->group(kModelGroup);
  app.add_option("--lora", loras, "LoRA adapter, may be given several times")
      ->type_name("FILE")
      ->check(CLI::Validator(check_named, ""))
      ->allow_extra_args(false)
      ->group(kModelGroup);
  app.add_option("--gpu-layers,--ngl", n_gpu_layers, "layers on the GPU (default: all that fit)")
      ->check(at_least(-1))
      ->group(kModelGroup);
  app.add_option("--split-mode,--sm", split_mode,
                 "how a model lies on several GPUs: none (all of it on --main-gpu), layer, row "
                 "(matrices by rows)")
      ->check(CLI::Validator(check_split_mode, ""))
      ->capture_default_str()
      ->group(kModelGroup);
  app.add_option("--tensor-split,--ts", tensor_split,
                 "what each GPU gets, in proportion: 3,1 (default: by their free memory)")
      ->delimiter(',')
      ->check(between(0, 1e9))
      ->group(kModelGroup);
  app.add_option("--main-gpu,--mg", main_gpu, "the GPU of --split-mode none, counted from 0")
      ->check(at_least(0))
      ->capture_default_str()
      ->group(kModelGroup);
  app.add_option("--rpc", rpc,
                 "llama.cpp's ggml-rpc-server of other machines, whose devices come before those "
                 "of this one")
      ->type_name("HOST:PORT,...")
      ->delimiter(',')
      ->group(kModelGroup);
  app.add_option("--calibration", calibration,
                 "what `vase calibrate` measured of this model, for policies that need it")
      ->type_name("FILE")
      ->group(kModelGroup);
  app.add_flag("-v,--verbose", verbose, "show llama.cpp's log, and the summary even when piped");
}

void ModelArguments::start_llama() const {
  engine::init_llama(verbose);
  engine::add_rpc_servers(rpc);
}

std::filesystem::path ModelArguments::file() const {
  if (!path.empty()) return model_file(path);
  auto standard = default_model();
  if (std::filesystem::exists(standard)) return standard;
  throw Error(
      fmt::format("no model given (-m), and the default one is not at {}: `make model`, {} or "
                  "vase-fetch-model (of the Python package) fetches it",
                  standard.string(), fetch_command(known_models().front())));
}

engine::ModelOptions ModelArguments::options() const {
  engine::ModelOptions options{
      .path = file(), .n_gpu_layers = n_gpu_layers, .checked = checked, .calibration = calibration};
  options.devices = {
      .split_mode = kSplitModes.at(split_mode), .tensor_split = tensor_split, .main_gpu = main_gpu};
  options.progress = [](float) { return !interrupted(); };
  // Adapters that the user names stand in place of the default one.
  if (path.empty() && !no_reasoner && loras.empty())
    options.loras.push_back({.path = reasoner_adapter()});
  for (const std::string &lora : loras) options.loras.push_back({.path = lora});
  return options;
}

std::string ModelArguments::trained_template() const {
  if (path.empty() && !no_reasoner && loras.empty()) return "chatml";
  std::error_code error;
  const auto is_reasoner = [&](const std::string &lora) {
    return std::filesystem::equivalent(lora, reasoner_adapter(), error);
  };
  return std::ranges::any_of(loras, is_reasoner) ? "chatml" : "";
}

void ModelArguments::check_has_calibration(const vase_policy *policy) const {
  if (vase_policy_needs_calibration(policy) == 0 || !calibration.empty()) return;
  throw Error(fmt::format("policy {} needs what was measured of this model's queries; {}",
                          vase_policy_name(policy), how_to_calibrate()));
}

void ModelArguments::check_calibration(const std::vector<const vase_policy *> &policies) const {
  for (const vase_policy *policy : policies) check_has_calibration(policy);
  refuse_useless_calibration(calibration, policies);
}

llama_model_params ModelArguments::llama_params() const {
  llama_model_params params = llama_model_default_params();
  params.n_gpu_layers = n_gpu_layers;
  return params;
}

MemoryPlanner ModelArguments::planner() const {
  const ModelHeader header = engine::read_headers(options());
  checked = true;
  return MemoryPlanner(header, llama_params());
}

void ContextArguments::add_to(CLI::App &app) {
  const auto option = [&](const char *name, auto &value, const char *help) {
    return app.add_option(name, value, help)->group(kContextGroup);
  };
  option("-t,--threads", threads, "threads (default: all processors)")->check(at_least(1));
  option("--threads-batch,--tb", threads_batch, "threads that read prompts (default: as -t)")
      ->check(at_least(1));
  option("-b,--batch-size", batch, "tokens in a batch")->check(at_least(1))->capture_default_str();
  option("--ubatch-size,--ub", ubatch, "tokens computed at once, at most")
      ->check(at_least(1))
      ->capture_default_str();
  for (auto [name, value] :
       {std::pair{"--cache-type-k,--ctk", &type_k}, std::pair{"--cache-type-v,--ctv", &type_v}}) {
    option(name, *value, "type of the cache's rows: f32, f16, bf16, q8_0, q4_0")
        ->check(CLI::Validator(check_cache_type, ""))
        ->capture_default_str();
  }
}

llama_context_params ContextArguments::params() const {
  llama_context_params params = llama_context_default_params();
  params.n_threads = threads.value_or(engine::usable_processors());
  params.n_threads_batch = threads_batch.value_or(params.n_threads);
  params.n_batch = static_cast<std::uint32_t>(batch);
  params.n_ubatch = static_cast<std::uint32_t>(ubatch);
  params.type_k = kCacheTypes.at(type_k);
  params.type_v = kCacheTypes.at(type_v);
  return params;
}

llama_context_params ContextArguments::interruptible() const {
  llama_context_params result = params();
  stop_decoding_on_interrupt(result);
  return result;
}

void PolicyArguments::add_to(CLI::App &app) {
  const auto option = [&](const char *name, auto &value, const char *help) {
    return app.add_option(name, value, help)->group(kPolicyGroup);
  };
  option("--policy", policy, "which rows stay (`vase policies` lists the choices)")
      ->check(known_policy())
      ->capture_default_str();
  option("--budget", budget, "rows that each head keeps (default: 4096)")->check(at_least(1));
  add_parameters_to(app);
}

void PolicyArguments::add_parameters_to(CLI::App &app) {
  const auto option = [&](const char *name, auto &value, const std::string &help) {
    return app.add_option(name, value, help)->group(kPolicyGroup);
  };
  option("--recency", recency,
         "newest rows, always kept (default: the policy's own, see `vase policies`)")
      ->check(at_least(0));
  option("--interval", interval,
         "rows between two evictions (default: the policy's own, see `vase policies`)")
      ->check(at_least(1));
  option("--window", window,
         help_of("newest queries, by which rows are scored; default: 64", "window"))
      ->check(at_least(1));
  option("--sinks", sinks, "first tokens of the text, always kept (default: 4)")
      ->check(at_least(0));
  option("--protect", protect,
         help_of("rows protected for their values: a number, a share, or auto, which in each head "
                 "takes all but the clearly narrow ones; default: 25%",
                 "protect"))
      ->check(CLI::Validator(check_protect, ""));
  option("--temperature-attn", temperature,
         help_of("divides the attention logits that score the rows; default: 1", "temperature"))
      ->check(between(1e-3, 1e3));
  option("--lambda", lambda,
         help_of("attention (1) against redundancy (0); default: 0.5", "lambda"))
      ->check(between(0, 1));
  // Read as text, so that "--pin-prompt" alone can stand for a share.
  app.add_option_function<std::vector<std::string>>(
         "--pin-prompt",
         [this](const std::vector<std::string> &share) {
           pin_prompt = share.empty() || share[0].empty() ? kDefaultPin
                                                          : parse<float>(share[0]).value_or(0.0f);
         },
         "never evict the prompt, up to this share of the budget (0.5 if no share is given; "
         "default: the policy's own, see `vase policies`)")
      ->expected(0, 1)
      ->type_name("SHARE")
      ->check(between(0, 1))
      ->group(kPolicyGroup);
}

void PolicyArguments::add_guard_to(CLI::App &app) {
  app.add_flag("--loop-guard", loop_guard,
               "when the text begins to repeat itself, go back and read it again without the "
               "loop, under the default policy")
      ->group(kPolicyGroup);
}

vase_params PolicyArguments::params(std::uint64_t seed) const {
  const std::int32_t rows = budget.value_or(kDefaultBudget);
  vase_params params = vase_params_default(vase_policy_find(policy.c_str()), rows);
  set_if_given(params.recency, recency);
  set_if_given(params.interval, interval);
  set_if_given(params.window, window);
  set_if_given(params.sinks, sinks);
  if (protect) params.protect = protected_rows(*protect, rows).value_or(params.protect);
  if (temperature) params.temperature = *temperature;
  if (lambda) params.lambda = *lambda;
  params.seed = seed;
  if (vase_params_check(&params) != VASE_OK) throw Error(vase_last_error());
  check_parameters();
  if (loop_guard && !evicts()) {
    throw Error(fmt::format(
        "--loop-guard is for policies that evict, and {} does not: leave it out", policy));
  }
  return params;
}

std::vector<PolicyArguments::Given> PolicyArguments::given() const {
  const std::vector<Given> all = {{"--budget", "budget", budget.has_value()},
                                  {"--recency", "recency", recency.has_value()},
                                  {"--interval", "interval", interval.has_value()},
                                  {"--window", "window", window.has_value()},
                                  {"--sinks", "sinks", sinks.has_value()},
                                  {"--protect", "protect", protect.has_value()},
                                  {"--temperature-attn", "temperature", temperature.has_value()},
                                  {"--lambda", "lambda", lambda.has_value()},
                                  {"--pin-prompt", "pin_prompt", pin_prompt.has_value()}};
  std::vector<Given> given;
  std::ranges::copy_if(all, std::back_inserter(given), &Given::is_given);
  return given;
}

void PolicyArguments::check_parameters() const {
  const vase_policy *known = vase_policy_find(policy.c_str());
  if (known == nullptr) return;  // parsing refuses it
  for (const Given &one : given()) {
    if (vase_policy_looks_at(known, one.parameter) != 0) continue;
    throw Error(fmt::format("{} does not look at {}: leave it out, or take a policy that does: {}",
                            policy, one.option,
                            fmt::join(policies_that_look_at(one.parameter), ", ")));
  }
}

void PolicyArguments::drop_unused() {
  const vase_policy *known = vase_policy_find(policy.c_str());
  const auto drop = [known](auto &value, const char *parameter) {
    if (vase_policy_looks_at(known, parameter) == 0) value.reset();
  };
  if (known == nullptr) return;
  drop(recency, "recency");
  drop(interval, "interval");
  drop(window, "window");
  drop(sinks, "sinks");
  drop(protect, "protect");
  drop(temperature, "temperature");
  drop(lambda, "lambda");
  drop(pin_prompt, "pin_prompt");
}

bool PolicyArguments::evicts() const {
  return vase_policy_evicts(vase_policy_find(policy.c_str())) != 0;
}

float PolicyArguments::pinned_share() const {
  if (!evicts()) return 0.0f;
  const float wanted = vase_policy_default_pin(vase_policy_find(policy.c_str()));
  return pin_prompt.value_or(pins_by_default ? wanted : 0.0f);
}

void SamplingArguments::add_to(CLI::App &app) {
  const auto option = [&](const char *name, auto &value, const char *help) {
    return app.add_option(name, value, help)->group(kSamplingGroup)->capture_default_str();
  };
  option("--temp", options.temperature, "temperature; 0 always takes the likeliest token")
      ->check(between(0, 100));
  option("--top-k", options.top_k, "only the likeliest tokens; 0: all")->check(at_least(0));
  option("--top-p", options.top_p, "only tokens that make up this probability; 1: all")
      ->check(between(0, 1));
  option("--min-p", options.min_p, "only tokens this likely beside the likeliest; 0: all")
      ->check(between(0, 1));
  option("-s,--seed", seed, "of all that is drawn, tokens and evictions; -1: a new one")
      ->check(at_least(-1, std::numeric_limits<std::uint32_t>::max()));
}

void ThinkingArguments::add_to(CLI::App &app) {
  app.add_option("--reasoning-budget", options.budget,
                 "tokens of a thought; then it is ended and the answer written; 0: it is ended at "
                 "once, -1: it may be of any length")
      ->check(at_least(-1))
      ->group(kSamplingGroup)
      ->capture_default_str();
  app.add_option("--reasoning-budget-message", options.message,
                 "what to write where --reasoning-budget ends a thought (default: nothing)")
      ->group(kSamplingGroup);
}

void ThinkingArguments::check_room(std::int64_t n_predict) const {
  if (n_predict < 0 || options.budget < n_predict) return;
  throw Error(
      fmt::format("--reasoning-budget {} leaves nothing of -n {} for the answer: give a "
                  "smaller budget or a larger -n",
                  options.budget, n_predict));
}

void ThinkingArguments::check(std::int64_t n_predict) const {
  check_room(n_predict);
  if (options.budget >= 0 || options.message.empty()) return;
  throw Error(
      "--reasoning-budget-message is said where --reasoning-budget N ends a thought: give that, "
      "too");
}

engine::SamplingOptions SamplingArguments::resolved() {
  if (seed < 0) seed = std::random_device{}() & 0x7fffffff;
  options.seed = static_cast<std::uint32_t>(seed);
  return options;
}

}  // namespace vase::cli
