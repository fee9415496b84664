#include "recall/record.hpp"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

namespace vase::recall {

nlohmann::ordered_json to_json(const Record &record) {
  nlohmann::ordered_json line = {{"category", record.category}, {"depth", nullptr},
                                 {"length", record.length},     {"text", record.text},
                                 {"item", record.item},         {"policy", record.policy},
                                 {"budget", record.budget},     {"rows", record.rows},
                                 {"after", record.after},       {"right", record.right},
                                 {"fraction", record.fraction}, {"expected", record.expected},
                                 {"answer", record.answer}};
  if (record.depth) line["depth"] = *record.depth;
  return line;
}

Record record_from_json(const nlohmann::json &line, const std::string &cache_types) {
  Record record{.category = line.at("category"),
                .depth = {},
                .length = line.at("length"),
                .text = line.at("text"),
                .item = line.at("item"),
                .policy = line.at("policy"),
                .budget = line.at("budget"),
                .rows = line.at("rows"),
                .after = line.at("after"),
                .right = line.at("right"),
                .fraction = line.at("fraction"),
                .expected = line.at("expected"),
                .answer = line.at("answer"),
                .cache_types = cache_types};
  if (!line.at("depth").is_null()) record.depth = line.at("depth").get<double>();
  return record;
}

std::string key_of(const Record &record) {
  return fmt::format("{}\n{}\n{}\n{}\n{}\n{}", record.length, record.text, record.item,
                     record.policy, record.budget, record.after);
}

}  // namespace vase::recall
