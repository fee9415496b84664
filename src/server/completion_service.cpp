#include "server/completion_service.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <random>
#include <utility>

#include "engine/prompt_cache.hpp"
#include "server/request_parser.hpp"

namespace vase::server {
namespace {

std::int64_t now() {
  const auto since_epoch = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::seconds>(since_epoch).count();
}

// Some templates open the reasoning themselves, so that the answer begins inside it.
ReasoningSplitter::Start start_of(const CompletionRequest &request, std::string_view prompt) {
  if (request.api != Api::chat || !request.split_reasoning) return ReasoningSplitter::Start::plain;
  const auto end = prompt.find_last_not_of(" \t\r\n");
  const std::string_view text = end == prompt.npos ? prompt : prompt.substr(0, end + 1);
  return text.ends_with("<think>") ? ReasoningSplitter::Start::reasoning
                                   : ReasoningSplitter::Start::answer;
}

// The i-th answer of a request draws from its own numbers, wherever it runs.
Answer make_answer(const CompletionRequest &request, const TokenisedPrompt &prompt,
                   std::size_t index) {
  Answer answer{.request = {.prompt = prompt.tokens,
                            .sampling = request.sampling,
                            .n_predict = request.max_tokens,
                            .stop = request.stop,
                            .n_logprobs = request.logprobs,
                            .loop_guard = request.loop_guard,
                            .prompts = prompt.prompts,
                            .thinking = request.thinking,
                            .boundaries = prompt.boundaries},
                .policy = request.policy,
                .pin_prompt = request.pin_prompt,
                .draw_stream = static_cast<std::uint32_t>(index),
                .any_draws = request.any_draws,
                .reuses = request.reuses,
                .ends_unread = request.api == Api::chat && request.split_reasoning};
  answer.request.sampling.seed += static_cast<std::uint32_t>(index);
  return answer;
}

}  // namespace

CompletionService::CompletionService(const engine::Model &model, std::string model_name,
                                     std::optional<engine::ChatTemplate> chat_template,
                                     const RequestRules &rules, const ServiceLimits &limits,
                                     std::int32_t capacity, Scheduler &scheduler, Metrics &metrics)
    : model_(model),
      model_name_(std::move(model_name)),
      chat_template_(std::move(chat_template)),
      rules_(rules),
      limits_(limits),
      capacity_(capacity),
      scheduler_(scheduler),
      metrics_(metrics),
      started_(now()),
      id_prefix_((std::uint64_t{std::random_device{}()} << 32U) | std::random_device{}()) {}

CompletionRequest CompletionService::parse(Api api, std::string_view body) {
  return parse_request(api, body, rules_);
}

void CompletionService::check_length(const std::vector<llama_token> &prompt,
                                     const char *field) const {
  if (prompt.empty()) throw invalid_field(field, "holds no tokens");
  if (std::ssize(prompt) <= limits_.max_prompt_tokens) return;
  throw invalid_field(field,
                      fmt::format("has {} tokens, more than the {} that this server reads",
                                  prompt.size(), limits_.max_prompt_tokens),
                      "context_length_exceeded");
}

// How much of `prompt` these messages alone make. 0 if the template cannot write them alone.
std::size_t CompletionService::tokens_of(std::span<const engine::ChatMessage> beginning,
                                         const std::vector<llama_token> &prompt) const {
  try {
    const auto tokens =
        model_.tokenize(chat_template_->format({beginning.begin(), beginning.end()}, false));
    return static_cast<std::size_t>(std::ranges::mismatch(tokens, prompt).in2 - prompt.begin());
  } catch (const Error &) {
    return 0;
  }
}

// Where another prompt may go on: behind the system message, and behind the last message, before
// what opens the answer, for a template may write that otherwise once the answer is there.
std::vector<std::size_t> CompletionService::turns_of(
    const std::vector<engine::ChatMessage> &messages,
    const std::vector<llama_token> &prompt) const {
  std::vector<std::size_t> turns;
  const auto add = [&](std::span<const engine::ChatMessage> beginning) {
    const std::size_t shared = tokens_of(beginning, prompt);
    if (shared >= engine::PromptCache::kLeastTokens && shared < prompt.size() &&
        (turns.empty() || shared > turns.back())) {
      turns.push_back(shared);
    }
  };
  const std::span all(messages);
  if (messages.size() > 1 && messages.front().role == "system") add(all.first(1));
  add(all);
  return turns;
}

// What was asked first, and what was asked after the last answer.
Prompts CompletionService::prompts_of(const std::vector<engine::ChatMessage> &messages,
                                      const std::vector<llama_token> &prompt) const {
  const auto answers = [](const engine::ChatMessage &message) {
    return message.role == "assistant";
  };
  const std::span all(messages);
  const auto first = std::ranges::find_if(messages, answers);
  if (first == messages.end()) return {};
  const auto last = std::ranges::find_if(messages.rbegin(), messages.rend(), answers);
  const auto asked = static_cast<std::size_t>(first - messages.begin());
  const auto answered = messages.size() - static_cast<std::size_t>(last - messages.rbegin());
  const auto first_end = static_cast<std::int64_t>(tokens_of(all.first(asked), prompt));
  const auto begin = static_cast<std::int64_t>(tokens_of(all.first(answered), prompt));
  return {.first_end = std::min(first_end, begin), .newest_begin = begin};
}

std::vector<TokenisedPrompt> CompletionService::tokenize(const CompletionRequest &request,
                                                         const std::string &chat_text) const {
  std::vector<TokenisedPrompt> prompts;
  if (request.api == Api::chat) {
    prompts.push_back({.tokens = model_.tokenize(chat_text)});
    check_length(prompts.back().tokens, "messages");
    prompts.back().boundaries = turns_of(request.messages, prompts.back().tokens);
    prompts.back().prompts = prompts_of(request.messages, prompts.back().tokens);
    return prompts;
  }
  for (const Prompt &prompt : request.prompts) {
    const auto *text = std::get_if<std::string>(&prompt);
    prompts.push_back({.tokens = text != nullptr ? model_.tokenize(*text)
                                                 : std::get<std::vector<llama_token>>(prompt)});
    check_length(prompts.back().tokens, "prompt");
    const std::size_t length = prompts.back().tokens.size();
    if (length > engine::PromptCache::kLeastTokens) prompts.back().boundaries = {length - 1};
  }
  return prompts;
}

std::string CompletionService::new_id(Api api) {
  return fmt::format("{}-{:016x}{:08x}", api == Api::chat ? "chatcmpl" : "cmpl", id_prefix_,
                     ++last_id_);
}

Completion CompletionService::accept(Api api, std::string_view body,
                                     std::function<bool()> client_gone) {
  Completion completion;
  try {
    const CompletionRequest request = parse(api, body);
    const std::string chat_text =
        api == Api::chat ? chat_template_->format(request.messages, true) : "";
    std::vector<Answer> answers;
    for (const auto &prompt : tokenize(request, chat_text)) {
      for (std::int32_t i = 0; i < request.n; ++i) {
        answers.push_back(make_answer(request, prompt, answers.size()));
      }
    }
    completion.stream = request.stream;
    completion.writer = std::make_unique<ResponseWriter>(
        request, ResponseHead{new_id(api), now(), model_name_}, model_,
        start_of(request, chat_text), answers.size(), capacity_);
    const auto deadline =
        Clock::now() + std::chrono::duration_cast<Clock::duration>(limits_.timeout);
    completion.task = std::make_shared<Task>(std::move(answers), deadline, std::move(client_gone));
  } catch (const ApiError &) {
    metrics_.count_rejection(Rejection::invalid);
    throw;
  } catch (const Error &error) {  // the template or the tokeniser refuses the text
    metrics_.count_rejection(Rejection::invalid);
    throw invalid_field(api == Api::chat ? "messages" : "prompt",
                        fmt::format("cannot be read: {}", error.what()));
  }
  scheduler_.submit(completion.task);
  return completion;
}

ApiError CompletionService::failure_of(const Task &task) const {
  switch (task.outcome()) {
    case Outcome::timed_out:
      return {504, fmt::format("the request took longer than {} s", limits_.timeout.count()),
              "timeout_error", "", "timeout"};
    case Outcome::aborted:
      return {503, "the server is shutting down", "server_error", "", "shutting_down"};
    case Outcome::cancelled:
    case Outcome::stalled:
      return {499, "the client went away", "server_error", "", "cancelled"};
    case Outcome::completed:
    case Outcome::failed:
      break;
  }
  return {500, task.failure(), "server_error", "", "engine_error"};
}

}  // namespace vase::server
