#include "server/request_parser.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <limits>
#include <random>

#include "core/selection.hpp"
#include "server/error.hpp"
#include "server/fields.hpp"
#include "server/json.hpp"
#include "server/offered_policies.hpp"
#include "server/unsupported_fields.hpp"

namespace vase::server {
namespace {

constexpr std::int64_t kMaxSafeInteger = (std::int64_t{1} << 53) - 1;  // exact in any JSON reader
constexpr std::int64_t kMaxSeed = std::numeric_limits<std::int64_t>::max();  // as OpenAI's
constexpr std::size_t kMaxMessages = 4096;
constexpr std::size_t kMaxParts = 256;
constexpr std::size_t kMaxPromptTokens = std::size_t{1} << 22;
constexpr std::size_t kMaxStops = 16;
constexpr std::int64_t kMaxTopLogprobs = 20;  // OpenAI's limit
constexpr float kMaxPin = 0.9f;               // the adapter's limit

// ---- what the model reads -----------------------------------------------------------------------

// "text", or [{"type": "text", "text": ...}, ...].
std::string content_of(const Json &content, const std::string &path) {
  if (!content.is_array()) return text_of(content, path);
  if (content.size() > kMaxParts) throw invalid_field(path, "has too many parts", "out_of_range");
  std::string text;
  for (std::size_t i = 0; i < content.size(); ++i) {
    const Fields part(content[i], fmt::format("{}[{}]", path, i));
    if (part.text("type") != "text") {
      throw invalid_field(part.path("type"), "must be \"text\": the model reads nothing else");
    }
    text += part.text("text").value_or("");
  }
  return text;
}

std::string role_of(const Fields &message) {
  constexpr std::array kRoles = {"system", "user", "assistant"};
  std::string role = message.text("role").value_or("");
  if (role == "developer") role = "system";  // OpenAI's newer name
  if (role == "tool" || role == "function") {
    throw invalid_field(message.path("role"),
                        fmt::format("is \"{}\", and results of tools are not supported by this "
                                    "server: say them in a message of \"user\"",
                                    role),
                        "unsupported");
  }
  if (std::find(kRoles.begin(), kRoles.end(), role) == kRoles.end()) {
    throw invalid_field(message.path("role"),
                        "must be \"system\", \"developer\", \"user\" or \"assistant\"");
  }
  return role;
}

std::vector<engine::ChatMessage> messages_of(const Fields &body) {
  const Json *array = body.array("messages", kMaxMessages);
  if (array == nullptr || array->empty()) {
    throw invalid_field("messages", "must be an array of at least one message");
  }
  std::vector<engine::ChatMessage> messages;
  for (std::size_t i = 0; i < array->size(); ++i) {
    const Fields message((*array)[i], fmt::format("messages[{}]", i));
    const Json *content = message.find("content");
    std::string role = role_of(message);
    refuse_unsupported_in_message(message);
    if (content == nullptr) throw invalid_field(message.path("content"), "is missing");
    messages.push_back({.role = std::move(role),
                        .content = content_of(*content, message.path("content")),
                        .reasoning = message.text("reasoning_content").value_or("")});
  }
  return messages;
}

// llama-server's chat_template_kwargs, and reasoning_effort, which is one of them.
engine::TemplateVariables variables_of(const Fields &body, const RequestRules &rules) {
  engine::TemplateVariables variables;
  const char *given = nullptr;
  if (body.object("chat_template_kwargs")) {
    for (const auto &[name, value] : body.find("chat_template_kwargs")->items()) {
      variables[name] = dump(value);
      given = "chat_template_kwargs";
    }
  }
  if (const auto thinks = variables.find("enable_thinking");
      thinks != variables.end() && thinks->second != "true" && thinks->second != "false") {
    throw invalid_field("chat_template_kwargs.enable_thinking", "must be true or false");
  }
  const std::string effort = body.text("reasoning_effort").value_or("");
  if (effort == "none") {
    if (rules.jinja) variables["enable_thinking"] = "false";
  } else if (!effort.empty()) {
    variables["reasoning_effort"] = dump(Json(effort));
    given = "reasoning_effort";
  }
  if (given == nullptr || rules.jinja) return variables;
  throw invalid_field(given,
                      "is for a chat template in Jinja, and this server writes one of llama.cpp's "
                      "fixed list",
                      "unsupported");
}

std::vector<std::int32_t> tokens_of(const Json &array, const std::string &path,
                                    std::int32_t n_vocab) {
  if (array.size() > kMaxPromptTokens) throw invalid_field(path, "is too long", "out_of_range");
  std::vector<std::int32_t> tokens;
  for (std::size_t i = 0; i < array.size(); ++i) {
    tokens.push_back(static_cast<std::int32_t>(
        integer_of(array[i], fmt::format("{}[{}]", path, i), 0, n_vocab - 1)));
  }
  return tokens;
}

// A string, an array of strings, an array of tokens, or an array of such arrays.
std::vector<Prompt> prompts_of(const Fields &body, const RequestRules &rules) {
  const Json *prompt = body.find("prompt");
  if (prompt == nullptr) throw invalid_field("prompt", "is missing");
  if (prompt->is_string()) return {text_of(*prompt, "prompt")};
  if (!prompt->is_array() || prompt->empty()) {
    throw invalid_field("prompt", "must be a string, or an array of strings or tokens",
                        "invalid_type");
  }
  if (prompt->front().is_number()) return {tokens_of(*prompt, "prompt", rules.n_vocab)};
  if (prompt->size() > static_cast<std::size_t>(rules.max_answers)) {
    throw invalid_field("prompt", fmt::format("has more than {} elements", rules.max_answers),
                        "out_of_range");
  }
  std::vector<Prompt> prompts;
  for (std::size_t i = 0; i < prompt->size(); ++i) {
    const Json &element = (*prompt)[i];
    const std::string path = fmt::format("prompt[{}]", i);
    if (element.is_array()) {
      prompts.emplace_back(tokens_of(element, path, rules.n_vocab));
    } else {
      prompts.emplace_back(text_of(element, path));
    }
  }
  return prompts;
}

// ---- how it answers -----------------------------------------------------------------------------

// The samplers take 32 bits. Seeds of that size stay themselves, and no bit of a larger one is lost
// on the way.
std::uint32_t fold(std::int64_t seed) {
  const auto bits = static_cast<std::uint64_t>(seed);
  return static_cast<std::uint32_t>(bits ^ (bits >> 32U));
}

// What the request says; nullopt: a new one.
std::optional<std::int64_t> own_seed_of(const Fields &body) {
  constexpr std::int64_t kNewEachTime = -1;
  const auto seed = body.integer("seed", std::numeric_limits<std::int64_t>::min(), kMaxSeed);
  return seed == kNewEachTime ? std::nullopt : seed;
}

std::uint32_t seed_of(const Fields &body, const RequestRules &rules) {
  if (const auto seed = own_seed_of(body)) return fold(*seed);
  return rules.seed ? *rules.seed : std::random_device{}();
}

engine::SamplingOptions sampling_of(const Fields &body, const RequestRules &rules) {
  engine::SamplingOptions sampling = rules.sampling;
  const auto set = [&](float &to, const char *name, double high) {
    if (const auto value = body.number(name, 0, high)) to = static_cast<float>(*value);
  };
  set(sampling.temperature, "temperature", 2);
  set(sampling.top_p, "top_p", 1);
  set(sampling.min_p, "min_p", 1);
  constexpr std::int64_t kMaxTopK = std::numeric_limits<std::int32_t>::max();
  if (const auto k = body.integer("top_k", -1, kMaxTopK)) {
    sampling.top_k = static_cast<std::int32_t>(std::max<std::int64_t>(*k, 0));
  }
  sampling.seed = seed_of(body, rules);
  sampling.ignore_eog = body.flag("ignore_eos").value_or(rules.sampling.ignore_eog);
  return sampling;
}

// What the request says, nullopt if nothing. Newest name first; the last is llama.cpp's.
std::optional<std::int64_t> own_max_tokens_of(const Fields &body) {
  std::optional<std::int64_t> limit;
  for (const char *name : {"max_completion_tokens", "max_tokens", "n_predict"}) {
    const auto given = body.integer(name, -1, kMaxSafeInteger);
    if (!limit) limit = given;
  }
  return limit;
}

std::int64_t max_tokens_of(const Fields &body, const RequestRules &rules) {
  const std::optional<std::int64_t> limit = own_max_tokens_of(body);
  if (!limit || *limit < 0) return rules.max_tokens;
  return std::min(*limit, rules.max_tokens);
}

std::vector<std::string> stops_of(const Fields &body) {
  const Json *stop = body.find("stop");
  if (stop == nullptr) return {};
  if (stop->is_string()) return {text_of(*stop, "stop")};
  std::vector<std::string> stops;
  const Json *array = body.array("stop", kMaxStops);
  for (std::size_t i = 0; i < array->size(); ++i) {
    stops.push_back(text_of((*array)[i], fmt::format("stop[{}]", i)));
  }
  return stops;
}

std::int32_t logprobs_of(Api api, const Fields &body) {
  if (api == Api::completions) {
    return static_cast<std::int32_t>(body.integer("logprobs", 0, kMaxTopLogprobs).value_or(-1));
  }
  const bool wanted = body.flag("logprobs").value_or(false);
  const auto top = body.integer("top_logprobs", 0, kMaxTopLogprobs);
  if (top && !wanted) throw invalid_field("top_logprobs", "needs logprobs: true");
  return wanted ? static_cast<std::int32_t>(top.value_or(0)) : -1;
}

bool split_reasoning_of(const Fields &body) {
  const std::string format = body.text("reasoning_format").value_or("auto");
  if (format != "none" && format != "auto" && format != "deepseek") {
    throw invalid_field("reasoning_format", "must be \"none\", \"auto\" or \"deepseek\"");
  }
  return format != "none";
}

// The names are llama-server's.
engine::ThinkingOptions thinking_of(const Fields &body, const RequestRules &rules) {
  engine::ThinkingOptions thinking = rules.thinking;
  const char *name = "";
  for (const char *known : {"thinking_budget_tokens", "reasoning_budget_tokens"}) {
    const auto budget = body.integer(known, -1, kMaxSafeInteger);
    if (!budget || *budget < 0) continue;  // -1: the server's
    thinking.budget = *budget;
    name = known;
  }
  if (const auto message = body.text("reasoning_budget_message")) thinking.message = *message;
  const auto limit = own_max_tokens_of(body);
  if (*name != '\0' && limit && *limit >= 0 && thinking.budget >= *limit) {
    throw invalid_field(name,
                        fmt::format("is {}, and leaves nothing of the {} tokens of the answer",
                                    thinking.budget, *limit));
  }
  return thinking;
}

// ---- the cache ----------------------------------------------------------------------------------

const vase_policy *policy_named(const std::string &name, const std::string &path,
                                const RequestRules &rules) {
  const vase_policy *policy = vase_policy_find(name.c_str());
  if (const std::string why = why_not_a_policy(name); !why.empty())
    throw invalid_field(path, fmt::format("cannot be that: {}", why), "unknown_policy");
  if (policy == nullptr) {
    std::string known;
    for (std::int32_t i = 0; i < vase_policy_count(); ++i) {
      known += fmt::format("{}{}", i == 0 ? "" : ", ", vase_policy_name(vase_policy_at(i)));
    }
    throw invalid_field(path, fmt::format("must be one of {}", known), "unknown_policy");
  }
  if (vase_policy_evicts(policy) != vase_policy_evicts(rules.policy.policy)) {
    throw invalid_field(path, fmt::format("cannot be \"{}\" on a server that runs \"{}\"", name,
                                          vase_policy_name(rules.policy.policy)));
  }
  if (vase_policy_needs_calibration(policy) != 0 && !rules.calibrated) {
    throw invalid_field(path,
                        fmt::format("cannot be \"{}\": it needs what `vase calibrate` measures of "
                                    "the model, and this server was started without --calibration",
                                    name));
  }
  if (!is_offered(rules, policy)) {
    throw invalid_field(
        path, fmt::format("cannot be \"{}\": it scores by attention, and this server was "
                          "started with \"{}\", for which no queries are kept; one with "
                          "--policy {} takes any",
                          name, vase_policy_name(rules.policy.policy), policy_that_offers_all()));
  }
  return policy;
}

void read_budget(const Fields &fields, const RequestRules &rules, vase_params &policy) {
  const std::int32_t recency =
      rules.recency.value_or(vase_params_default(policy.policy, 1).recency);  // the least there is
  const auto fixed = std::int64_t{policy.sinks} + recency + 1;
  const std::int64_t least = std::max<std::int64_t>(rules.least_budget, fixed);
  const auto budget =
      fields.integer("budget", std::min<std::int64_t>(least, policy.budget), rules.policy.budget);
  if (!budget) return;
  if (policy.protect != VASE_PROTECT_AUTO) {
    policy.protect = static_cast<std::int32_t>(std::int64_t{policy.protect} * *budget /
                                               std::max(rules.policy.budget, 1));
  }
  policy.budget = static_cast<std::int32_t>(*budget);
}

/// The recency window and the interval that go with a request's policy and budget, if these are not
/// the server's. The server's cells hold no longer interval than its own.
void set_pace(const RequestRules &rules, vase_params &policy) {
  if (policy.policy == rules.policy.policy && policy.budget == rules.policy.budget) return;
  const vase_params own = vase_params_default(policy.policy, policy.budget);
  policy.recency = rules.recency.value_or(own.recency);
  policy.interval = rules.interval.value_or(std::min(own.interval, rules.policy.interval));
}

void read_cache(const Fields &body, const RequestRules &rules, CompletionRequest &request) {
  request.policy = rules.policy;
  request.policy.seed = request.sampling.seed;
  request.any_draws = !own_seed_of(body) && !rules.seed;
  request.loop_guard = rules.loop_guard;
  const std::optional<Fields> fields = body.object("vase");
  if (const auto name = fields ? fields->text("policy") : std::nullopt) {
    request.policy.policy = policy_named(*name, fields->path("policy"), rules);
  }
  request.pin_prompt = rules.pin_prompt.value_or(vase_policy_default_pin(request.policy.policy));
  if (fields) read_budget(*fields, rules, request.policy);
  set_pace(rules, request.policy);
  // Another policy may want a longer recency window than the server's budget holds.
  if (vase_params_check(&request.policy) != VASE_OK) throw invalid_field("vase", vase_last_error());
  if (!fields) return;
  if (const auto seed = fields->integer("seed", 0, kMaxSeed)) {
    request.policy.seed = static_cast<std::uint64_t>(*seed);
    request.any_draws = false;
  }
  if (const auto share = fields->number("pin_prompt", 0, 0.9)) {
    request.pin_prompt = std::min(static_cast<float>(*share), kMaxPin);
  }
}

}  // namespace

CompletionRequest parse_request(Api api, std::string_view text, const RequestRules &rules) {
  const Json json = parse_json(text);
  const Fields body(json, "");
  CompletionRequest request{.api = api};

  [[maybe_unused]] const auto any_name = body.text("model");  // there is one model to answer
  if (api == Api::chat) {
    if (!rules.has_chat_template) {
      throw invalid_field("messages",
                          "cannot be read: the model has no chat template; use /v1/completions, or "
                          "start the server with --chat-template",
                          "no_chat_template");
    }
    request.messages = messages_of(body);
    request.variables = variables_of(body, rules);
    request.split_reasoning = split_reasoning_of(body);
  } else {
    request.prompts = prompts_of(body, rules);
  }
  const auto n_prompts = std::max<std::int64_t>(1, std::ssize(request.prompts));
  request.n = static_cast<std::int32_t>(
      body.integer("n", 1, std::max<std::int64_t>(rules.max_answers / n_prompts, 1)).value_or(1));
  request.sampling = sampling_of(body, rules);
  request.max_tokens = max_tokens_of(body, rules);
  request.thinking = thinking_of(body, rules);
  request.stop = stops_of(body);
  request.logprobs = logprobs_of(api, body);
  request.stream = body.flag("stream").value_or(false);
  if (const auto options = body.object("stream_options")) {
    if (!request.stream) throw invalid_field("stream_options", "needs stream: true");
    request.include_usage = options->flag("include_usage").value_or(false);
  }
  read_cache(body, rules, request);
  // llama-server's name. Who says a seed wants to be told the same again, and sums over rows that
  // were taken back may differ in their last digits.
  request.reuses = body.flag("cache_prompt").value_or(request.any_draws);
  refuse_unsupported(api, body);
  return request;
}

}  // namespace vase::server
