#include "cli/bench_report.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <vector>

#include "cli/table.hpp"
#include "cli/units.hpp"

namespace vase::cli {
namespace {

double rate(std::int32_t tokens, const BenchWindow &window) {
  return window.seconds > 0 ? tokens / window.seconds : 0.0;
}

double milliseconds_per_token(double seconds, std::int32_t tokens) {
  return 1000 * seconds / tokens;
}

double median(std::vector<double> values) {
  if (values.empty()) return 0;
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

double overhead(const BenchWindow &window) {
  return (window.capture_seconds + window.eviction_seconds) / window.seconds;
}

std::string speed_table(const BenchResult &result) {
  const std::int32_t n = result.plan.tokens * result.plan.n_sequences();
  const char *name = vase_policy_name(result.plan.bounded.policy.policy);
  Table table({"depth", "plain tok/s", fmt::format("{} tok/s", name), "speed-up", "decode ms",
               "capture ms", "eviction ms", "overhead", "evictions"},
              0);
  for (const BenchDepth &row : result.depths) {
    const BenchWindow &bounded = row.bounded;
    const double decode = bounded.seconds - bounded.capture_seconds - bounded.eviction_seconds;
    const bool plain = result.plan.with_plain;
    table.add({with_commas(row.depth), plain ? fmt::format("{:.1f}", rate(n, row.plain)) : "-",
               fmt::format("{:.1f}", rate(n, bounded)),
               plain ? fmt::format("{:.2f}", rate(n, bounded) / rate(n, row.plain)) : "-",
               fmt::format("{:.2f}", milliseconds_per_token(decode, n)),
               fmt::format("{:.3f}", milliseconds_per_token(bounded.capture_seconds, n)),
               fmt::format("{:.3f}", milliseconds_per_token(bounded.eviction_seconds, n)),
               fmt::format("{:.1f}%", 100 * overhead(bounded)),
               fmt::format("{}", bounded.evictions)});
  }
  return table.str();
}

double rate(const BenchReading &reading) {
  return reading.seconds > 0 ? static_cast<double>(reading.tokens) / reading.seconds : 0.0;
}

std::string reading_table(const BenchResult &result) {
  const char *name = vase_policy_name(result.plan.bounded.policy.policy);
  Table table({"prompt up to", "plain tok/s", fmt::format("{} tok/s", name), "speed-up",
               "eviction ms", "of the time", "evictions"},
              0);
  for (const BenchDepth &row : result.depths) {
    const BenchReading &bounded = row.bounded_reading;
    const double plain = rate(row.plain_reading);
    const double evicting =
        bounded.seconds > 0 ? 100 * bounded.eviction_seconds / bounded.seconds : 0.0;
    table.add({with_commas(row.depth), plain > 0 ? fmt::format("{:.1f}", plain) : "-",
               fmt::format("{:.1f}", rate(bounded)),
               plain > 0 ? fmt::format("{:.2f}", rate(bounded) / plain) : "-",
               fmt::format("{:.1f}", 1000 * bounded.eviction_seconds),
               fmt::format("{:.1f}%", evicting), fmt::format("{}", bounded.evictions)});
  }
  return table.str();
}

nlohmann::ordered_json json_of(const BenchReading &reading) {
  return {{"tokens", reading.tokens},
          {"tokens_per_second", rate(reading)},
          {"seconds", reading.seconds},
          {"processor_seconds", reading.processor_seconds},
          {"eviction_seconds", reading.eviction_seconds},
          {"evictions", reading.evictions}};
}

// A window, and the prompt up to it.
nlohmann::ordered_json json_of(const BenchWindow &window, std::int32_t tokens,
                               const BenchReading &reading) {
  return {{"tokens_per_second", rate(tokens, window)},
          {"seconds", window.seconds},
          {"capture_seconds", window.capture_seconds},
          {"eviction_seconds", window.eviction_seconds},
          {"median_step_seconds", median(window.steps)},
          {"evictions", window.evictions},
          {"prompt", json_of(reading)}};
}

nlohmann::ordered_json json_of(const BenchMemory &memory, const BenchReading &deepest) {
  return {{"kv_bytes", memory.kv_bytes},
          {"resident_bytes", memory.resident_bytes},
          {"prompt_seconds", deepest.seconds}};
}

}  // namespace

std::string as_table(const BenchResult &result) {
  const vase_params &policy = result.plan.bounded.policy;
  std::string text = fmt::format(
      "{}, {} threads, policy {}, budget {}, interval {}, {} {}, {} tokens decoded at each "
      "depth\n\n",
      result.model, result.plan.plain.context.n_threads, vase_policy_name(policy.policy),
      with_commas(policy.budget), policy.interval, result.plan.n_sequences(),
      result.plan.n_sequences() == 1 ? "sequence" : "sequences", result.plan.tokens);
  text += speed_table(result) + '\n' + reading_table(result) + '\n';
  Table memory({"", "plain", vase_policy_name(policy.policy)});
  const auto row = [&](const char *name, std::uint64_t plain, std::uint64_t bounded) {
    memory.add({name, result.plan.with_plain ? format_bytes(plain) : "-", format_bytes(bounded)});
  };
  row("KV cache", result.plain.kv_bytes, result.bounded.kv_bytes);
  row("resident memory", result.plain.resident_bytes, result.bounded.resident_bytes);
  return text + memory.str();
}

std::string as_json(const BenchResult &result, const BenchOrigin &origin) {
  const vase_params &policy = result.plan.bounded.policy;
  const BenchDepth deepest = result.depths.empty() ? BenchDepth{} : result.depths.back();
  nlohmann::ordered_json json = {{"model", origin.model},
                                 {"description", result.model},
                                 {"threads", result.plan.plain.context.n_threads},
                                 {"policy", vase_policy_name(policy.policy)},
                                 {"budget", policy.budget},
                                 {"interval", policy.interval},
                                 {"sequences", result.plan.n_sequences()},
                                 {"stagger", result.plan.stagger},
                                 {"tokens_per_depth", result.plan.tokens},
                                 {"gpu_bytes_before_model", origin.gpu_bytes},
                                 {"gpu_bytes_before_contexts", result.gpu_bytes_before},
                                 {"bounded", json_of(result.bounded, deepest.bounded_reading)}};
  if (result.plan.with_plain) json["plain"] = json_of(result.plain, deepest.plain_reading);
  const std::int32_t tokens = result.plan.tokens * result.plan.n_sequences();
  for (const BenchDepth &row : result.depths) {
    nlohmann::ordered_json depth = {{"depth", row.depth},
                                    {"gpu_bytes", row.gpu_bytes},
                                    {"bounded", json_of(row.bounded, tokens, row.bounded_reading)}};
    if (result.plan.with_plain) depth["plain"] = json_of(row.plain, tokens, row.plain_reading);
    json["depths"].push_back(depth);
  }
  return json.dump() + "\n";
}

}  // namespace vase::cli
