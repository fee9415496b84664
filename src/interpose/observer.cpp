#include "interpose/observer.hpp"

#include <fmt/format.h>

#include <charconv>
#include <exception>
#include <mutex>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "engine/machine.hpp"
#include "interpose/guests.hpp"
#include "interpose/http_listener.hpp"
#include "interpose/report.hpp"
#include "observe/assets.hpp"
#include "observe/cache_view.hpp"
#include "observe/prometheus.hpp"

namespace vase::interpose {
namespace {

using Json = nlohmann::ordered_json;
using observe::dump;
using observe::metric;
using observe::metric_head;

constexpr const char *kJson = "application/json";

// ---- metrics ------------------------------------------------------------------------------------

// One value for each context, in the order in which they were made.
template <typename Value>
std::string of_each(const std::vector<GuestView> &views, const char *name, const char *help,
                    const Value &value) {
  std::string text = metric_head(name, "gauge", help);
  for (const GuestView &view : views)
    text += fmt::format("{}{{context=\"{}\"}} {}\n", name, view.number, value(view));
  return text;
}

int64_t rows_of(const GuestView &view) {
  int64_t rows = 0;
  for (const observe::SlotStatus &slot : view.slots) rows += slot.rows;
  return rows;
}

std::string metrics() {
  const std::vector<GuestView> views = guest_views();
  const Counts &all = counts();
  const auto seconds = [](const std::atomic<int64_t> &microseconds) {
    return static_cast<double>(microseconds.load()) / 1e6;
  };
  const auto counter = [](const char *name, const char *help, auto value) {
    return metric(name, "counter", help, value);
  };
  return counter("vase_contexts_total", "Contexts that were made and bounded.",
                 all.contexts.load()) +
         counter("vase_tokens_total", "Tokens decoded.", all.tokens.load()) +
         counter("vase_evictions_total", "Evictions, each over all layers of a sequence.",
                 all.evictions.load()) +
         counter("vase_rows_moved_total", "Rows moved into holes, over layers and heads.",
                 all.rows_moved.load()) +
         counter("vase_eviction_seconds_total", "Time in evictions.",
                 seconds(all.eviction_microseconds)) +
         counter("vase_decode_seconds_total", "Time in decoding, evictions included.",
                 seconds(all.decode_microseconds)) +
         counter("vase_snapshots_total", "Sequences that the program put aside.",
                 all.snapshots.load()) +
         counter("vase_restores_total", "Sequences that it took back.", all.restored.load()) +
         of_each(views, "vase_sequences", "Sequences that hold tokens.",
                 [](const GuestView &view) {
                   return std::ranges::count_if(view.slots,
                                                [](const auto &slot) { return slot.tokens > 0; });
                 }) +
         of_each(views, "vase_rows", "Rows of a head, over the sequences.", rows_of) +
         of_each(views, "vase_cache_bytes", "The KV cache.",
                 [](const GuestView &view) { return view.cache_bytes; }) +
         of_each(views, "vase_full_cache_bytes", "The KV cache that the program asked for.",
                 [](const GuestView &view) { return view.asked_bytes; }) +
         metric("process_resident_memory_bytes", "gauge", "Memory of this process.",
                engine::resident_memory());
}

// ---- the page -----------------------------------------------------------------------------------

// What is watched is the context that was made first: a draft model's comes after.
Json status(const GuestView &view) {
  Json slots = Json::array();
  double full_cache = 0;
  for (size_t i = 0; i < view.slots.size(); ++i) {
    slots.push_back(observe::as_json(view.slots[i], i, view.cells));
    full_cache += view.row_bytes * static_cast<double>(view.slots[i].tokens);
  }
  return {{"model", view.model},
          {"policy", view.slots.empty() ? std::string() : view.slots.front().policy},
          {"layers", view.layers},
          {"heads", view.heads},
          {"slots", slots},
          {"memory",
           {{"weights", view.model_bytes},
            {"kv", view.cache_bytes},
            {"queries", 0},
            {"resident", engine::resident_memory()},
            {"full_cache", full_cache}}},
          {"queue", 0},
          {"chat", false}};
}

int32_t number_in(std::string_view query, std::string_view name) {
  while (!query.empty()) {
    const std::string_view field = query.substr(0, query.find('&'));
    query.remove_prefix(std::min(query.size(), field.size() + 1));
    if (!field.starts_with(name) || field.substr(name.size(), 1) != "=") continue;
    const std::string_view value = field.substr(name.size() + 1);
    int32_t number = 0;
    const auto [stop, error] = std::from_chars(value.data(), value.data() + value.size(), number);
    if (error == std::errc() && stop == value.data() + value.size()) return number;
  }
  throw Error(fmt::format("{} must be a number", name));
}

Reply refuse(int status, const std::string &why) {
  return {.status = status, .type = kJson, .body = dump({{"error", {{"message", why}}}})};
}

Reply page(std::string_view path, std::string_view query) {
  if (path == "/vase/status" || path == "/vase/cache") {
    const std::vector<GuestView> views = guest_views();
    if (views.empty()) return refuse(503, "the program has no bounded context now");
    if (path == "/vase/status") return {.type = kJson, .body = dump(status(views.front()))};
    return {.type = kJson,
            .body = dump(observe::as_json(
                look_at_guest(views.front().number, number_in(query, "slot"),
                              number_in(query, "layer"), number_in(query, "head"))))};
  }
  for (const observe::Asset &asset : observe::web_page())
    if (path == asset.path || (path == "/" && asset.path == "/index.html"))
      return {.type = observe::content_type(asset.path), .body = std::string(asset.content)};
  return refuse(404, fmt::format("there is nothing at {}", path));
}

Reply answer(bool with_page, const std::string &target) {
  const std::string_view whole = target;
  const std::string_view path = whole.substr(0, whole.find('?'));
  const std::string_view query = whole.substr(std::min(whole.size(), path.size() + 1));
  try {
    if (path == "/metrics")
      return {.type = "text/plain; version=0.0.4; charset=utf-8", .body = metrics()};
    if (with_page) return page(path, query);
    return refuse(404, "only /metrics is here; --observatory adds the page");
  } catch (const Error &error) {
    return refuse(400, error.what());
  } catch (const std::exception &error) {
    return refuse(500, error.what());
  }
}

}  // namespace

void begin_to_show(const Settings &settings) {
  if (settings.metrics_port == 0) return;
  static std::once_flag once;
  std::call_once(once, [&] {
    try {
      const int listener = listen_at(settings.metrics_host, settings.metrics_port);
      const bool with_page = settings.observatory != 0;
      answer_forever(listener,
                     [with_page](const std::string &target) { return answer(with_page, target); });
      say(fmt::format("metrics at http://{0}:{1}/metrics{2}", settings.metrics_host,
                      settings.metrics_port,
                      with_page ? fmt::format(", the rows of each head at http://{}:{}/",
                                              settings.metrics_host, settings.metrics_port)
                                : ""));
    } catch (const Error &error) {
      say(std::string(error.what()) + "; nothing is shown");
    }
  });
}

}  // namespace vase::interpose
