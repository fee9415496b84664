#include "server/metrics.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "observe/prometheus.hpp"

namespace vase::server {

using observe::metric;
using observe::metric_head;

void Histogram::observe(double seconds) {
  const auto bucket = std::lower_bound(kBounds.begin(), kBounds.end(), seconds);
  ++buckets_.at(static_cast<std::size_t>(std::distance(kBounds.begin(), bucket)));
  microseconds_ += static_cast<std::int64_t>(seconds * 1e6);
}

std::string Histogram::text(const std::string &name, const std::string &help) const {
  std::string text = metric_head(name, "histogram", help);
  std::int64_t count = 0;
  for (std::size_t i = 0; i < kBounds.size(); ++i) {
    count += buckets_[i];
    text += fmt::format("{}_bucket{{le=\"{}\"}} {}\n", name, kBounds[i], count);
  }
  count += buckets_.back();
  const double sum = static_cast<double>(microseconds_.load()) * 1e-6;
  return text + fmt::format("{0}_bucket{{le=\"+Inf\"}} {1}\n{0}_sum {2}\n{0}_count {1}\n", name,
                            count, sum);
}

std::string Metrics::text(const Gauges &gauges) const {
  constexpr std::array<const char *, kRejections> kReasons = {
      "invalid", "unauthorized", "unknown_host", "queue_full", "draining"};
  std::string text =
      metric("vase_requests_accepted_total", "counter",
             "Requests for text that were accepted; each ends in one outcome.", accepted_.load());
  text += metric_head("vase_requests_total", "counter",
                      "Accepted requests that have ended, by outcome.");
  for (int i = 0; i < kOutcomes; ++i) {
    text += fmt::format("vase_requests_total{{outcome=\"{}\"}} {}\n",
                        to_string(static_cast<Outcome>(i)),
                        outcomes_.at(static_cast<std::size_t>(i)).load());
  }
  text += metric_head("vase_requests_rejected_total", "counter",
                      "Requests for text that were not accepted, by reason.");
  for (std::size_t i = 0; i < kReasons.size(); ++i) {
    text += fmt::format("vase_requests_rejected_total{{reason=\"{}\"}} {}\n", kReasons[i],
                        rejections_[i].load());
  }
  text += metric("vase_prompt_tokens_total", "counter", "Tokens of prompts that were read.",
                 prompt_tokens_.load());
  text += metric("vase_prompt_tokens_cached_total", "counter",
                 "Tokens of prompts that were not read again.", cached_tokens_.load());
  text += metric("vase_generated_tokens_total", "counter", "Tokens that were generated.",
                 generated_tokens_.load());
  text += metric("vase_evictions_total", "counter", "Evictions, each over all layers of a slot.",
                 evictions_.load());
  text += metric("vase_loop_alarms_total", "counter", "Times that the loop guard acted.",
                 loop_alarms_.load());
  text += metric("vase_queue_length", "gauge", "Answers that wait for a slot.", gauges.queue);
  text += metric("vase_slots", "gauge", "Slots there are.", gauges.slots);
  text += metric("vase_slots_busy", "gauge", "Slots in use.", gauges.slots_busy);
  text += metric_head("vase_memory_bytes", "gauge", "Memory as planned at the start, by kind.");
  for (const auto &[kind, bytes] :
       {std::pair{"weights", gauges.weights_bytes}, std::pair{"kv", gauges.kv_bytes},
        std::pair{"queries", gauges.queries_bytes}, std::pair{"compute", gauges.compute_bytes},
        std::pair{"snapshots", gauges.snapshots_bytes}}) {
    text += fmt::format("vase_memory_bytes{{kind=\"{}\"}} {}\n", kind, bytes);
  }
  text += metric("vase_prompt_cache_bytes", "gauge", "Memory of prompts that are put aside.",
                 gauges.put_aside_bytes);
  text +=
      metric("vase_prompt_cache_entries", "gauge", "Prompts that are put aside.", gauges.put_aside);
  text += metric("process_resident_memory_bytes", "gauge", "Memory of this process.",
                 gauges.resident_bytes);
  text += first_token_.text("vase_time_to_first_token_seconds",
                            "From accepting a request to its first token.");
  text += request_.text("vase_request_seconds", "From accepting a request to its end.");
  return text;
}

}  // namespace vase::server
