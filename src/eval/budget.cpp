#include "eval/budget.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "vase/llama.hpp"

namespace vase::eval {
namespace {

constexpr std::int32_t kBlock = 64;  // the published eviction interval
constexpr std::int32_t kSmallest = 128;

}  // namespace

Budget parse_budget(const std::string &text) {
  if (text == "prompt") return {.label = text, .of_prompt = true};
  double number = 0;
  const char *end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, number);
  const std::string_view unit(rest, static_cast<std::size_t>(end - rest));
  if (error == std::errc{} && unit == "x" && number >= 1 && number <= 1000) {
    return {.label = text, .divisor = number};
  }
  if (error == std::errc{} && unit.empty() && number >= 1 && number < 1e9 &&
      number == std::floor(number)) {
    return {.label = text, .rows = static_cast<std::int32_t>(number)};
  }
  throw Error(
      fmt::format("\"{}\" is not a budget: write 4x for a quarter of the full cache's length, "
                  "prompt for that of "
                  "the prompt, or rows",
                  text));
}

MeanLengths mean_full_lengths(const std::vector<Record> &records) {
  MeanLengths lengths;
  std::map<std::string, double> counts;
  for (const Record &record : records) {
    if (record.policy != vase_policy_name(vase_policy_full())) continue;
    const std::string group = group_of(record.task, record.tier);
    lengths[group].all += static_cast<double>(record.prompt_tokens + record.tokens);
    lengths[group].prompt += static_cast<double>(record.prompt_tokens);
    ++counts[group];
  }
  for (auto &[group, mean] : lengths) {
    mean.all /= counts[group];
    mean.prompt /= counts[group];
  }
  return lengths;
}

std::int32_t rows_of(const Budget &budget, const MeanLengths &lengths, const std::string &group) {
  if (!budget.needs_lengths()) return budget.rows;
  const auto length = lengths.find(group);
  if (length == lengths.end()) {
    throw Error(fmt::format(
        "budget {} needs the mean full-cache length of {}: add full to --policies, or name a run "
        "that has it with --lengths FILE",
        budget.label, group));
  }
  const MeanLength &mean = length->second;
  if (budget.of_prompt && mean.prompt <= 0) {
    throw Error(fmt::format("budget prompt: there is no prompt in {}", group));
  }
  const double rows = budget.of_prompt ? mean.prompt : mean.all / budget.divisor;
  const auto blocks = static_cast<std::int32_t>(std::lround(rows / static_cast<double>(kBlock)));
  return std::max(kSmallest, blocks * kBlock);
}

}  // namespace vase::eval
