// The engine's pieces of text as OpenAI's API writes them, whole or in chunks.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "engine/model.hpp"
#include "engine/utf8.hpp"
#include "server/answer_splitter.hpp"
#include "server/json.hpp"
#include "server/request.hpp"
#include "server/task.hpp"

namespace vase::server {

/// What all chunks of a response have in common.
struct ResponseHead {
  std::string id;
  std::int64_t created = 0;
  std::string model;
};

/// Collects a task's pieces and writes them. For one thread.
class ResponseWriter {
 public:
  /// `splitter`: tells the reasoning of an answer from its content. `capacity`: cells of a slot.
  /// `model` must outlive this.
  ResponseWriter(const CompletionRequest &request, ResponseHead head, const engine::Model &model,
                 const SplitterMaker &splitter, std::size_t n_answers, std::int32_t capacity);

  /// Streaming: the event for a piece; "" if there is nothing to say yet.
  std::string chunk(const Piece &piece);
  /// Streaming: the usage if it was asked for, and the end.
  std::string last_chunks() const;

  /// Not streaming: takes a piece in.
  void add(const Piece &piece);
  /// Not streaming: the body of the response.
  std::string whole() const;

 private:
  struct AnswerText {
    std::unique_ptr<AnswerSplitter> splitter;
    std::string content = {};
    std::string reasoning = {};
    OrderedJson logprobs = OrderedJson::array();
    engine::Utf8Assembler characters = {};  // of the tokens so far
    std::int64_t text_offset = 0;           // in whole characters
    std::int64_t reasoning_tokens = 0;
    engine::Finish finish = engine::Finish::none;
    AnswerStatistics statistics = {};
    bool opened = false;  // streaming: the role was said
  };

  SplitText split(const Piece &piece);
  OrderedJson logprob_entries(const Piece &piece, AnswerText &answer) const;
  OrderedJson chat_entry(const engine::TokenLogprob &logprob) const;
  OrderedJson completions_entry(const Piece &piece, AnswerText &answer) const;
  OrderedJson logprobs_field(const OrderedJson &entries) const;
  OrderedJson usage() const;
  OrderedJson cache_report() const;
  OrderedJson head(const char *object) const;

  Api api_;
  bool include_usage_;
  bool wants_logprobs_;
  vase_params policy_;
  float pin_prompt_;
  std::uint32_t seed_;
  std::int32_t n_;  // answers to each prompt
  std::int32_t capacity_;
  ResponseHead head_;
  const engine::Model &model_;
  std::vector<AnswerText> answers_;
};

/// "data: {...}" and an empty line.
std::string server_sent_event(const std::string &data);

}  // namespace vase::server
