#include "server/completion_service.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <random>
#include <utility>

#include "engine/prompt_cache.hpp"
#include "engine/thought_marks.hpp"
#include "server/parsed_answer.hpp"
#include "server/reasoning.hpp"
#include "server/request_parser.hpp"

namespace vase::server {
namespace {

std::int64_t now() {
  const auto since_epoch = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::seconds>(since_epoch).count();
}

// Some templates open the reasoning themselves, so that the answer begins inside it.
SplitterMaker splitter_for(const CompletionRequest &request, const engine::ChatPrompt &prompt) {
  if (request.api != Api::chat || !request.split_reasoning)
    return [] { return std::make_unique<ReasoningSplitter>(ReasoningSplitter::Start::plain); };
  const engine::ThoughtMarks *opened = engine::thought_opened_by(prompt.text);
  if (prompt.parser != nullptr) {
    return [parser = prompt.parser, opened] {
      return std::make_unique<ParsedAnswer>(parser, opened != nullptr);
    };
  }
  if (opened != nullptr) return [opened] { return std::make_unique<ReasoningSplitter>(*opened); };
  return [] { return std::make_unique<ReasoningSplitter>(ReasoningSplitter::Start::answer); };
}

// Control tokens without which the thoughts of an answer cannot be told.
std::vector<llama_token> shown_marks(const CompletionRequest &request,
                                     const engine::ChatPrompt &prompt, const engine::Model &model) {
  if (request.api != Api::chat || !request.split_reasoning) return {};
  std::vector<std::string> names = prompt.marks;
  for (const engine::ThoughtMarks &marks : engine::kThoughtMarks) {
    names.emplace_back(marks.open);
    names.emplace_back(marks.close);
  }
  return model.control_tokens(names);
}

// The i-th answer of a request draws from its own numbers, wherever it runs.
Answer make_answer(const CompletionRequest &request, const TokenisedPrompt &prompt,
                   const std::vector<llama_token> &shown, std::size_t index) {
  Answer answer{.request = {.prompt = prompt.tokens,
                            .sampling = request.sampling,
                            .n_predict = request.max_tokens,
                            .stop = request.stop,
                            .n_logprobs = request.logprobs,
                            .loop_guard = request.loop_guard,
                            .prompts = prompt.prompts,
                            .thinking = request.thinking,
                            .shown = shown,
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

// How much of `prompt` the first messages alone make. 0 if the template cannot write them alone.
std::size_t CompletionService::tokens_of(const CompletionRequest &request,
                                         const std::vector<engine::ChatMessage> &messages,
                                         const std::vector<llama_token> &prompt) const {
  try {
    const auto tokens =
        model_.tokenize(chat_template_->write(messages, false, request.variables).text);
    return static_cast<std::size_t>(std::ranges::mismatch(tokens, prompt).in2 - prompt.begin());
  } catch (const Error &) {
    return 0;
  }
}

// Where another prompt may go on: behind the system message, and behind the last message, before
// what opens the answer, for a template may write that otherwise once the answer is there.
std::vector<std::size_t> CompletionService::turns_of(const CompletionRequest &request,
                                                     const std::vector<llama_token> &prompt) const {
  const std::vector<engine::ChatMessage> &messages = request.messages;
  std::vector<std::size_t> turns;
  const auto add = [&](std::size_t n_messages) {
    const auto end = messages.begin() + static_cast<std::ptrdiff_t>(n_messages);
    const std::size_t shared = tokens_of(request, {messages.begin(), end}, prompt);
    if (shared >= engine::PromptCache::kLeastTokens && shared < prompt.size() &&
        (turns.empty() || shared > turns.back())) {
      turns.push_back(shared);
    }
  };
  if (messages.size() > 1 && messages.front().role == "system") add(1);
  add(messages.size());
  return turns;
}

// What was asked first, and what was asked after the last answer. Templates may write an answer
// otherwise while it is the last message, so where the latter begins shows by asking something
// else.
Prompts CompletionService::prompts_of(const CompletionRequest &request,
                                      const std::vector<llama_token> &prompt) const {
  const std::vector<engine::ChatMessage> &messages = request.messages;
  const auto answers = [](const engine::ChatMessage &message) {
    return message.role == "assistant";
  };
  const auto first = std::ranges::find_if(messages, answers);
  const auto last = std::ranges::find_if(messages.rbegin(), messages.rend(), answers);
  if (last == messages.rend() || last == messages.rbegin()) return {};
  std::vector<engine::ChatMessage> others = messages;
  engine::ChatMessage &asked = others[static_cast<std::size_t>(messages.rend() - last)];
  asked.content = asked.content.starts_with('?') ? "!" : "?";
  const auto begin = static_cast<std::int64_t>(tokens_of(request, others, prompt));
  const auto first_end =
      static_cast<std::int64_t>(tokens_of(request, {messages.begin(), first}, prompt));
  return {.first_end = std::min(first_end, begin), .newest_begin = begin};
}

std::vector<TokenisedPrompt> CompletionService::tokenize(const CompletionRequest &request,
                                                         const std::string &chat_text) const {
  std::vector<TokenisedPrompt> prompts;
  if (request.api == Api::chat) {
    prompts.push_back({.tokens = model_.tokenize(chat_text)});
    check_length(prompts.back().tokens, "messages");
    prompts.back().boundaries = turns_of(request, prompts.back().tokens);
    // The loop guard pins, whatever the request does.
    if (request.pin_prompt > 0 || request.loop_guard)
      prompts.back().prompts = prompts_of(request, prompts.back().tokens);
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
    CompletionRequest request = parse(api, body);
    engine::ChatPrompt chat;
    if (api == Api::chat) chat = chat_template_->write(request.messages, true, request.variables);
    request.stop.insert(request.stop.end(), chat.stops.begin(), chat.stops.end());
    const std::vector<llama_token> shown = shown_marks(request, chat, model_);
    std::vector<Answer> answers;
    for (const auto &prompt : tokenize(request, chat.text)) {
      for (std::int32_t i = 0; i < request.n; ++i) {
        answers.push_back(make_answer(request, prompt, shown, answers.size()));
      }
    }
    completion.stream = request.stream;
    completion.writer = std::make_unique<ResponseWriter>(
        request, ResponseHead{new_id(api), now(), model_name_}, model_, splitter_for(request, chat),
        answers.size(), capacity_);
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
