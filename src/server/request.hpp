// What a client asks for, checked, in the engine's terms.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "engine/chat.hpp"
#include "engine/sampler.hpp"
#include "engine/thinking_budget.hpp"
#include "vase/vase.h"

namespace vase::server {

enum class Api { chat, completions };

/// Text, or tokens that the client made itself.
using Prompt = std::variant<std::string, std::vector<std::int32_t>>;

struct CompletionRequest {
  Api api = Api::chat;
  std::vector<engine::ChatMessage> messages = {};  ///< chat
  std::vector<Prompt> prompts = {};                ///< completions: each gets `n` answers
  std::int32_t n = 1;
  engine::SamplingOptions sampling = {};  ///< with the seed of the first answer
  std::int64_t max_tokens = 0;
  std::vector<std::string> stop = {};
  std::int32_t logprobs = -1;  ///< likeliest tokens to report with each token; -1: no report
  bool stream = false;
  bool include_usage = false;                ///< stream: a last chunk with the usage
  engine::TemplateVariables variables = {};  ///< chat: of the template
  bool split_reasoning = true;               ///< chat: thoughts go to reasoning_content
  vase_params policy = {};                   ///< with the seed of the draws
  bool any_draws = false;                    ///< nobody said a seed
  bool reuses = true;                        ///< may go on from what was read before
  float pin_prompt = 0.0f;
  bool loop_guard = false;
  engine::ThinkingOptions thinking = {};
};

/// What a server allows and what it takes where a request is silent.
struct RequestRules {
  engine::SamplingOptions sampling = {};
  std::optional<std::uint32_t> seed;  ///< nullopt: a new one for each request
  std::int64_t max_tokens = 32768;    ///< longer answers are cut to this
  std::int32_t max_answers = 16;      ///< prompts times n
  std::int32_t n_vocab = 0;
  bool has_chat_template = true;
  bool jinja = false;       ///< the chat template has variables
  vase_params policy = {};  ///< the server's; its budget is the largest
  /// What the server was told; nullopt: what the request's policy wants at its budget.
  std::optional<float> pin_prompt = {};
  std::optional<std::int32_t> recency = {}, interval = {};
  bool loop_guard = false;
  engine::ThinkingOptions thinking = {};
  bool keeps_queries = false;     ///< policies that score by attention can be asked for
  bool calibrated = false;        ///< policies that need a calibration can be asked for
  std::int32_t least_budget = 1;  ///< that the model allows
};

}  // namespace vase::server
