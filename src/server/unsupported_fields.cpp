#include "server/unsupported_fields.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "server/error.hpp"

namespace vase::server {
namespace {

constexpr const char *kElsewhere =
    "; llama-server does that, and `vase exec` bounds its cache (docs/exec.md)";

/// A field and, if it has one beside 0, false, "none", "" and what is empty, the value that asks
/// for nothing.
struct Field {
  const char *name;
  Json neutral = {};
};

bool asks_for_nothing(const Json &value) {
  return value == Json(0) || value == Json(false) || value == Json("") || value == Json("none") ||
         (value.is_structured() && value.empty());
}

const std::vector<Field> &fields() {
  static const std::vector<Field> all = {
      // OpenAI
      {"tools"},
      {"tool_choice", "auto"},
      {"functions"},
      {"function_call", "auto"},
      {"logit_bias"},
      {"frequency_penalty"},
      {"presence_penalty"},
      {"audio"},
      {"modalities", Json::array({"text"})},
      {"prediction"},
      {"verbosity"},
      {"web_search_options"},
      // llama.cpp
      {"grammar"},
      {"repeat_penalty", 1},
      {"typical_p", 1},
      {"top_n_sigma", -1},
      {"xtc_probability"},
      {"dry_multiplier"},
      {"dynatemp_range"},
      {"mirostat"},
      {"adaptive_target", -1},
      {"min_keep"},
      {"samplers"},
      {"n_probs"},
      {"t_max_predict_ms"},
      {"lora"},
      {"image_data"},
      // vLLM
      {"repetition_penalty", 1},
      {"length_penalty", 1},
      {"min_tokens"},
      {"use_beam_search"},
      {"bad_words"},
      {"stop_token_ids"},
      {"allowed_token_ids"},
      {"guided_regex"},
      {"guided_choice"},
      {"guided_grammar"},
      {"structured_outputs"},
      {"truncate_prompt_tokens", -1},
      {"continue_final_message"},
      {"include_stop_str_in_output"},
  };
  return all;
}

[[noreturn]] void refuse(const std::string &path, const std::string &hint = {}) {
  throw invalid_field(path, "is not supported by this server" + hint, "unsupported");
}

void refuse_response_format(const Fields &body) {
  const auto format = body.object("response_format");
  if (!format) return;
  if (format->text("type").value_or("text") != "text") {
    throw invalid_field("response_format.type", std::string("must be \"text\"") + kElsewhere,
                        "unsupported");
  }
  // llama.cpp takes a schema beside any type.
  for (const char *name : {"schema", "json_schema"}) {
    if (format->find(name) != nullptr) refuse(format->path(name), kElsewhere);
  }
}

void refuse_for_completions(const Fields &body) {
  if (body.flag("echo").value_or(false)) refuse("echo");
  if (!body.text("suffix").value_or("").empty()) refuse("suffix");
  for (const char *name : {"chat_template_kwargs", "reasoning_effort"}) {
    const Json *value = body.find(name);
    if (value != nullptr && !asks_for_nothing(*value)) refuse(name, ": there is no chat template");
  }
  constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();
  const auto n = body.integer("n", 1, kMost).value_or(1);
  if (body.integer("best_of", 1, kMost).value_or(n) != n) {
    throw invalid_field("best_of", "must be the same as n", "unsupported");
  }
}

}  // namespace

void refuse_unsupported(Api api, const Fields &body) {
  for (const Field &field : fields()) {
    const Json *value = body.find(field.name);
    if (value == nullptr || *value == field.neutral) continue;
    // 0 is no penalty where numbers are added, but the strongest there is where they are factors.
    if (!field.neutral.is_number() && asks_for_nothing(*value)) continue;
    const std::string name = field.name;
    refuse(body.path(field.name),
           (field.neutral.is_null() ? std::string() : ", unless it is " + field.neutral.dump()) +
               (name.starts_with("tool") || name == "functions" || name == "grammar" ? kElsewhere
                                                                                     : ""));
  }
  // An empty schema is one too: any JSON.
  for (const char *name : {"json_schema", "guided_json"}) {
    if (body.find(name) != nullptr) refuse(body.path(name), kElsewhere);
  }
  refuse_response_format(body);
  if (api == Api::completions) refuse_for_completions(body);
}

void refuse_unsupported_in_message(const Fields &message) {
  for (const char *name : {"tool_calls", "function_call", "tool_call_id", "audio", "refusal"}) {
    const Json *value = message.find(name);
    if (value == nullptr || asks_for_nothing(*value)) continue;
    refuse(message.path(name),
           ": the chat template would not write it, and the model would not read it");
  }
}

}  // namespace vase::server
