#include "observe/cache_view.hpp"

#include <utility>

#include "observe/row_reasons.hpp"

namespace vase::observe {

using Json = nlohmann::ordered_json;

std::string dump(const Json &json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Json as_json(const SlotStatus &slot, std::size_t id, std::int32_t capacity) {
  return {{"id", id},
          {"busy", slot.busy()},
          {"state", slot.state},
          {"tokens", slot.tokens},
          {"generated", slot.generated},
          {"cached", slot.cached},
          {"rows", slot.rows},
          {"budget", slot.budget},
          {"capacity", capacity},
          {"evictions", slot.evictions},
          {"tokens_per_second", slot.tokens_per_second},
          {"policy", slot.policy}};
}

Json as_json(const HeadView &view) {
  Json positions = Json::array();
  Json ranges = Json::array();
  Json reasons = Json::array();
  for (const ExplainedRow &row : explain_rows(view.rows, view.policy, view.statistics.evictions)) {
    positions.push_back(row.position);
    ranges.push_back(row.value_range);
    reasons.push_back(to_string(row.reason));
  }
  return {{"slot", view.slot},
          {"layer", view.layer},
          {"head", view.head},
          {"tokens", view.statistics.tokens},
          {"evictions", view.statistics.evictions},
          {"rows", view.statistics.rows},
          {"positions", std::move(positions)},
          {"ranges", std::move(ranges)},
          {"reasons", std::move(reasons)}};
}

}  // namespace vase::observe
