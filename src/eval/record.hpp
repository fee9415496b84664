// What is written down of one finished question: one line of a run's JSONL file.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "core/selection.hpp"
#include "eval/question.hpp"
#include "eval/repetition.hpp"
#include "vase/vase.h"

namespace vase::eval {

/// One of several things that were asked in one conversation.
struct RecordedItem {
  std::string id;
  std::string kind =
      {};  ///< "" for a question; what a look-back asks for: "result", "number", "name"
  std::string expected = {};
  std::optional<std::string> answer = {};  ///< nothing: none was found
  std::optional<bool> correct = {};        ///< nothing: it does not count, see look_back.hpp
};

/// What the model said to one turn.
struct RecordedReply {
  std::string text;
  bool ended = true;          ///< by the model, not at the limit
  std::string question = {};  ///< what the user said; "" where texts are not kept
};

struct Record {
  std::string task, tier, id;
  std::string policy;  ///< as asked for: "NAME", "NAME+prompt", "NAME:protect=50%"
  std::string budget;  ///< as asked for: "4x", "1024"; "full" for the policy that keeps all
  std::string cache_types = "f16/f16";  ///< of keys and values
  int sample = 0;
  std::uint64_t seed = 0;
  float temperature = 0;  ///< of the sampling; 0: greedy
  vase_params params{};   ///< what the policy ran with; params.budget is what "4x" came to
  /// What steps read of the full cache, as many rows as params.budget.
  std::optional<Selection> selection;
  float pin_prompt = 0;

  std::int64_t prompt_tokens = 0;
  std::int64_t tokens = 0;            ///< generated
  bool correct = false;               ///< all that was asked
  std::vector<RecordedItem> items;    ///< empty if one thing was asked
  std::optional<std::string> answer;  ///< nothing: none was found, or there are items
  std::string expected;
  std::string finish;  ///< "end": the model ended; "length": it hit the limit
  std::optional<Loop> loop;
  std::int64_t evictions = 0;
  std::int64_t loop_alarms = 0;    ///< times that the loop guard acted
  std::int64_t peak_kv_bytes = 0;  ///< rows at the most, all layers
  double seconds = 0;              ///< from its start to its end, beside the others
  double share_seconds = 0;        ///< its part of the machine's time: each step's time is split
                                   ///< evenly among the sequences in it
  std::vector<RecordedReply> replies;  ///< one a turn; empty: not kept
};

nlohmann::ordered_json to_json(const Record &record);
/// `cache_types`: what stands for those of a line that does not name them. Throws
/// nlohmann::json::exception if another field is missing or one is of another type.
Record record_from_json(const nlohmann::json &json, const std::string &cache_types);

/// What makes a record one of its kind in a run: question, policy, budget and sample.
std::string key_of(const std::string &id, const std::string &policy, const std::string &budget,
                   int sample);
std::string key_of(const Record &record);

}  // namespace vase::eval
