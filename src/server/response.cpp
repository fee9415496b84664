#include "server/response.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <span>
#include <utility>

#include "server/token_text.hpp"

namespace vase::server {
namespace {

OrderedJson finish_reason(engine::Finish finish) {
  switch (finish) {
    case engine::Finish::none:
      return nullptr;
    case engine::Finish::length:
    case engine::Finish::cache_full:
    case engine::Finish::no_positions:
      return "length";
    case engine::Finish::end_of_text:
    case engine::Finish::stop_string:
      break;
  }
  return "stop";
}

OrderedJson bytes_of(const std::string &piece) {
  OrderedJson bytes = OrderedJson::array();
  for (const char c : piece) bytes.push_back(static_cast<unsigned char>(c));
  return bytes;
}

std::int64_t count_characters(std::string_view text) {
  return std::ranges::count_if(
      text, [](char c) { return (static_cast<unsigned char>(c) & 0xC0U) != 0x80; });
}

}  // namespace

std::string server_sent_event(const std::string &data) { return "data: " + data + "\n\n"; }

ResponseWriter::ResponseWriter(const CompletionRequest &request, ResponseHead head,
                               const engine::Model &model, const SplitterMaker &splitter,
                               std::size_t n_answers, std::int32_t capacity)
    : api_(request.api),
      include_usage_(request.include_usage),
      wants_logprobs_(request.logprobs >= 0),
      policy_(request.policy),
      pin_prompt_(request.pin_prompt),
      seed_(request.sampling.seed),
      n_(request.n),
      capacity_(capacity),
      head_(std::move(head)),
      model_(model),
      answers_(n_answers) {
  for (AnswerText &answer : answers_) answer.splitter = splitter();
}

// ---- pieces -------------------------------------------------------------------------------------

SplitText ResponseWriter::split(const Piece &piece) {
  AnswerText &answer = answers_[piece.answer];
  const bool was_reasoning = answer.splitter->reasoning();
  SplitText text = answer.splitter->push(piece.text);
  if (piece.has_token &&
      (was_reasoning || answer.splitter->reasoning() || !text.reasoning.empty())) {
    ++answer.reasoning_tokens;
  }
  if (piece.finish == engine::Finish::none) return text;
  const SplitText rest = answer.splitter->finish();
  text.reasoning += rest.reasoning;
  text.content += rest.content;
  answer.finish = piece.finish;
  answer.statistics = piece.statistics;
  return text;
}

OrderedJson ResponseWriter::chat_entry(const engine::TokenLogprob &logprob) const {
  const std::string piece = model_.piece(logprob.token);
  return {{"token", token_text(piece)}, {"logprob", logprob.logprob}, {"bytes", bytes_of(piece)}};
}

// One element for each of completions' lists.
OrderedJson ResponseWriter::completions_entry(const Piece &piece, AnswerText &answer) const {
  const std::string prefix = "bytes:";
  const engine::TokenLogprob &chosen = piece.logprobs.front();
  const std::string text = model_.piece(chosen.token);
  OrderedJson top = OrderedJson::object();
  for (const auto &likely : std::span(piece.logprobs).subspan(1)) {
    // By name, for control tokens have no text. Some vocabularies have two tokens of one text: the
    // character and its byte.
    const std::string name = model_.piece(likely.token, true);
    std::string key = token_text(name, prefix);
    if (top.contains(key)) key = prefix + spelled_bytes(name);
    if (top.contains(key)) key = fmt::format("token:{}", likely.token);
    top[key] = likely.logprob;
  }
  OrderedJson entry = {{"token", token_text(text, prefix)},
                       {"token_logprob", chosen.logprob},
                       {"top_logprobs", top},
                       {"text_offset", answer.text_offset}};
  answer.text_offset += count_characters(answer.characters.push(text));
  return entry;
}

// One entry for chat; for completions an object with one element in each list.
OrderedJson ResponseWriter::logprob_entries(const Piece &piece, AnswerText &answer) const {
  if (!wants_logprobs_ || !piece.has_token || piece.logprobs.empty()) return nullptr;
  if (api_ == Api::completions) return completions_entry(piece, answer);
  OrderedJson entry = chat_entry(piece.logprobs.front());
  entry["top_logprobs"] = OrderedJson::array();
  for (const auto &likely : std::span(piece.logprobs).subspan(1)) {
    entry["top_logprobs"].push_back(chat_entry(likely));
  }
  return entry;
}

OrderedJson ResponseWriter::logprobs_field(const OrderedJson &entries) const {
  if (!wants_logprobs_) return nullptr;
  if (api_ == Api::chat) return {{"content", entries}, {"refusal", nullptr}};
  OrderedJson field = {{"tokens", OrderedJson::array()},
                       {"token_logprobs", OrderedJson::array()},
                       {"top_logprobs", OrderedJson::array()},
                       {"text_offset", OrderedJson::array()}};
  for (const OrderedJson &entry : entries) {
    field["tokens"].push_back(entry["token"]);
    field["token_logprobs"].push_back(entry["token_logprob"]);
    field["top_logprobs"].push_back(entry["top_logprobs"]);
    field["text_offset"].push_back(entry["text_offset"]);
  }
  return field;
}

// ---- what is the same in both forms -------------------------------------------------------------

OrderedJson ResponseWriter::head(const char *object) const {
  return {{"id", head_.id}, {"object", object}, {"created", head_.created}, {"model", head_.model}};
}

OrderedJson ResponseWriter::usage() const {
  std::int64_t prompt = 0;
  std::int64_t cached = 0;
  std::int64_t completion = 0;
  std::int64_t reasoning = 0;
  for (std::size_t i = 0; i < answers_.size(); ++i) {
    // The answers to one prompt share it.
    if (i % static_cast<std::size_t>(n_) == 0) {
      prompt += answers_[i].statistics.prompt_tokens;
      cached += answers_[i].statistics.cached_tokens;
    }
    completion += answers_[i].statistics.generated;
    reasoning += answers_[i].reasoning_tokens;
  }
  return {{"prompt_tokens", prompt},
          {"completion_tokens", completion},
          {"total_tokens", prompt + completion},
          {"prompt_tokens_details", {{"cached_tokens", cached}}},
          {"completion_tokens_details", {{"reasoning_tokens", reasoning}}}};
}

OrderedJson ResponseWriter::cache_report() const {
  std::int64_t evictions = 0;
  OrderedJson choices = OrderedJson::array();
  for (std::size_t i = 0; i < answers_.size(); ++i) {
    const AnswerStatistics &s = answers_[i].statistics;
    evictions += s.evictions;
    choices.push_back({{"index", i},
                       {"evictions", s.evictions},
                       {"loop_alarms", s.loop_alarms},
                       {"thoughts_cut", s.thoughts_cut},
                       {"rows_moved", s.rows_moved},
                       {"tokens", s.tokens},
                       {"rows", s.rows},
                       {"queue_seconds", s.queue_seconds},
                       {"prompt_seconds", s.prompt_seconds},
                       {"generate_seconds", s.generate_seconds}});
  }
  return {{"policy", vase_policy_name(policy_.policy)},
          {"budget", policy_.budget},
          {"capacity", capacity_},
          {"pin_prompt", pin_prompt_},
          {"seed", policy_.seed},
          {"sampling_seed", seed_},
          {"evictions", evictions},
          {"choices", choices}};
}

// ---- in chunks ----------------------------------------------------------------------------------

std::string ResponseWriter::chunk(const Piece &piece) {
  AnswerText &answer = answers_[piece.answer];
  const SplitText text = split(piece);
  const OrderedJson entry = logprob_entries(piece, answer);
  const bool finished = piece.finish != engine::Finish::none;
  if (answer.opened && !finished && text.content.empty() && text.reasoning.empty() &&
      entry.is_null()) {
    return {};
  }
  OrderedJson choice = {{"index", piece.answer}};
  if (api_ == Api::chat) {
    OrderedJson delta = OrderedJson::object();
    if (!std::exchange(answer.opened, true)) delta["role"] = "assistant";
    if (!text.reasoning.empty()) delta["reasoning_content"] = text.reasoning;
    if (!text.content.empty()) delta["content"] = text.content;
    choice["delta"] = delta;
  } else {
    answer.opened = true;
    choice["text"] = text.content;
  }
  choice["logprobs"] =
      entry.is_null() ? OrderedJson() : logprobs_field(OrderedJson::array({entry}));
  choice["finish_reason"] = finish_reason(piece.finish);

  OrderedJson body = head(api_ == Api::chat ? "chat.completion.chunk" : "text_completion");
  body["choices"] = OrderedJson::array({choice});
  const bool all_finished = std::ranges::all_of(
      answers_, [](const AnswerText &a) { return a.finish != engine::Finish::none; });
  if (finished && all_finished) body["vase"] = cache_report();
  return server_sent_event(dump(body));
}

std::string ResponseWriter::last_chunks() const {
  std::string events;
  if (include_usage_) {
    OrderedJson body = head(api_ == Api::chat ? "chat.completion.chunk" : "text_completion");
    body["choices"] = OrderedJson::array();
    body["usage"] = usage();
    events = server_sent_event(dump(body));
  }
  return events + server_sent_event("[DONE]");
}

// ---- whole --------------------------------------------------------------------------------------

void ResponseWriter::add(const Piece &piece) {
  AnswerText &answer = answers_[piece.answer];
  const SplitText text = split(piece);
  answer.reasoning += text.reasoning;
  answer.content += text.content;
  OrderedJson entry = logprob_entries(piece, answer);
  if (!entry.is_null()) answer.logprobs.push_back(std::move(entry));
}

std::string ResponseWriter::whole() const {
  OrderedJson choices = OrderedJson::array();
  for (std::size_t i = 0; i < answers_.size(); ++i) {
    const AnswerText &answer = answers_[i];
    OrderedJson choice = {{"index", i}};
    if (api_ == Api::chat) {
      OrderedJson message = {{"role", "assistant"}, {"content", answer.content}};
      if (!answer.reasoning.empty()) message["reasoning_content"] = answer.reasoning;
      choice["message"] = message;
    } else {
      choice["text"] = answer.content;
    }
    choice["logprobs"] = logprobs_field(answer.logprobs);
    choice["finish_reason"] = finish_reason(answer.finish);
    choices.push_back(std::move(choice));
  }
  OrderedJson body = head(api_ == Api::chat ? "chat.completion" : "text_completion");
  body["choices"] = std::move(choices);
  body["usage"] = usage();
  body["vase"] = cache_report();
  return dump(body);
}

}  // namespace vase::server
