#include "eval/record.hpp"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

namespace vase::eval {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

ordered_json params_json(const Record &record) {
  const vase_params &p = record.params;
  return {{"policy", vase_policy_name(p.policy)},
          {"budget", p.budget},
          {"recency", p.recency},
          {"interval", p.interval},
          {"window", p.window},
          {"sinks", p.sinks},
          {"protect", p.protect},
          {"pooling", p.pooling},
          {"temperature", p.temperature},
          {"lambda", p.lambda},
          {"pin_prompt", record.pin_prompt}};
}

// A selection keeps all rows, and has nothing to set but how many a step reads.
ordered_json selection_json(const Record &record) {
  return {{"selection", name_of(*record.selection)}, {"budget", record.params.budget}};
}

void read_params(const json &params, Record &record) {
  if (params.contains("selection")) {
    record.selection = find_selection(params.at("selection").get<std::string>());
    record.params.budget = params.at("budget");
    return;
  }
  const std::string name = params.at("policy");
  record.params = vase_params_default(vase_policy_find(name.c_str()), params.at("budget"));
  record.params.recency = params.at("recency");
  record.params.interval = params.at("interval");
  record.params.window = params.at("window");
  record.params.sinks = params.at("sinks");
  record.params.protect = params.at("protect");
  record.params.pooling = params.at("pooling");
  record.params.temperature = params.at("temperature");
  record.params.lambda = params.at("lambda");
  record.pin_prompt = params.at("pin_prompt");
}

ordered_json items_json(const std::vector<RecordedItem> &items) {
  ordered_json array = ordered_json::array();
  for (const RecordedItem &item : items) {
    ordered_json object = {
        {"id", item.id}, {"expected", item.expected}, {"answer", nullptr}, {"correct", nullptr}};
    if (!item.kind.empty()) object["kind"] = item.kind;
    if (item.answer) object["answer"] = *item.answer;
    if (item.correct) object["correct"] = *item.correct;
    array.push_back(std::move(object));
  }
  return array;
}

std::vector<RecordedItem> items_from_json(const json &array) {
  std::vector<RecordedItem> items;
  for (const json &object : array) {
    RecordedItem item{
        .id = object.at("id"), .kind = object.value("kind", ""), .expected = object.at("expected")};
    if (!object.at("answer").is_null()) item.answer = object.at("answer").get<std::string>();
    if (!object.at("correct").is_null()) item.correct = object.at("correct").get<bool>();
    items.push_back(std::move(item));
  }
  return items;
}

// One reply is the text of the line; those of a conversation are a list.
void write_replies(const Record &record, ordered_json &line) {
  const auto write_question = [](const RecordedReply &reply, ordered_json &object) {
    if (!reply.question.empty()) object["question"] = reply.question;
  };
  if (record.replies.size() == 1) {
    write_question(record.replies[0], line);
    line["text"] = record.replies[0].text;
  }
  if (record.replies.size() < 2) return;
  for (const RecordedReply &reply : record.replies) {
    ordered_json object = {{"text", reply.text}, {"ended", reply.ended}};
    write_question(reply, object);
    line["replies"].push_back(std::move(object));
  }
}

void read_replies(const json &line, Record &record) {
  if (line.contains("text")) {
    record.replies = {{line.at("text"), record.finish == "end", line.value("question", "")}};
  }
  if (!line.contains("replies")) return;
  for (const json &reply : line.at("replies")) {
    record.replies.push_back({reply.at("text"), reply.at("ended"), reply.value("question", "")});
  }
}

}  // namespace

ordered_json to_json(const Record &record) {
  ordered_json line = {{"task", record.task},
                       {"tier", record.tier},
                       {"id", record.id},
                       {"policy", record.policy},
                       {"budget", record.budget},
                       {"cache_types", record.cache_types},
                       {"sample", record.sample},
                       {"correct", record.correct},
                       {"answer", nullptr},
                       {"expected", record.expected},
                       {"finish", record.finish},
                       {"loop", nullptr},
                       {"prompt_tokens", record.prompt_tokens},
                       {"tokens", record.tokens},
                       {"evictions", record.evictions},
                       {"loop_alarms", record.loop_alarms},
                       {"peak_kv_bytes", record.peak_kv_bytes},
                       {"seconds", record.seconds},
                       {"share_seconds", record.share_seconds},
                       {"seed", record.seed},
                       {"temperature", record.temperature}};
  if (record.answer) line["answer"] = *record.answer;
  if (record.loop) {
    line["loop"] = {{"period", record.loop->period}, {"tokens", record.loop->tokens}};
  }
  if (vase_policy_evicts(record.params.policy) != 0) line["params"] = params_json(record);
  if (record.selection) line["params"] = selection_json(record);
  if (!record.items.empty()) line["items"] = items_json(record.items);
  write_replies(record, line);
  return line;
}

Record record_from_json(const json &line, const std::string &cache_types) {
  Record record;
  line.at("task").get_to(record.task);
  line.at("tier").get_to(record.tier);
  line.at("id").get_to(record.id);
  line.at("policy").get_to(record.policy);
  line.at("budget").get_to(record.budget);
  record.cache_types = line.value("cache_types", cache_types);
  line.at("sample").get_to(record.sample);
  line.at("correct").get_to(record.correct);
  if (!line.at("answer").is_null()) record.answer = line.at("answer").get<std::string>();
  line.at("expected").get_to(record.expected);
  line.at("finish").get_to(record.finish);
  if (!line.at("loop").is_null()) {
    record.loop = Loop{line.at("loop").at("period"), line.at("loop").at("tokens")};
  }
  line.at("prompt_tokens").get_to(record.prompt_tokens);
  line.at("tokens").get_to(record.tokens);
  line.at("evictions").get_to(record.evictions);
  record.loop_alarms = line.value("loop_alarms", std::int64_t{0});
  line.at("peak_kv_bytes").get_to(record.peak_kv_bytes);
  line.at("seconds").get_to(record.seconds);
  line.at("share_seconds").get_to(record.share_seconds);
  line.at("seed").get_to(record.seed);
  line.at("temperature").get_to(record.temperature);
  record.params = vase_params_default(vase_policy_full(), 1);
  if (line.contains("params")) read_params(line.at("params"), record);
  if (line.contains("items")) record.items = items_from_json(line.at("items"));
  read_replies(line, record);
  return record;
}

std::string key_of(const std::string &id, const std::string &policy, const std::string &budget,
                   int sample) {
  return fmt::format("{}\n{}\n{}\n{}", id, policy, budget, sample);
}

std::string key_of(const Record &record) {
  return key_of(record.id, record.policy, record.budget, record.sample);
}

}  // namespace vase::eval
