#include "cli/inspect.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "cli/arguments.hpp"
#include "cli/interrupt.hpp"
#include "cli/memory.hpp"
#include "cli/output.hpp"
#include "cli/policy_list.hpp"
#include "cli/prompt.hpp"
#include "cli/status_line.hpp"
#include "cli/table.hpp"
#include "cli/training_length.hpp"
#include "cli/units.hpp"
#include "engine/model.hpp"

namespace vase::cli {
namespace {

struct InspectArguments {
  ModelArguments model;
  ContextArguments context;
  PolicyArguments policy;
  std::optional<std::string> text;
  std::int64_t tokens = 0;  // 0: all
  std::int64_t seed = 1;
  bool json = false;
  bool force = false;

  InspectArguments() { policy.policy = protecting_policy(); }  // the default protects no rows
};

// What the heads of one layer hold.
struct LayerReport {
  std::vector<std::int32_t> protected_rows;  // [heads]
  float median_range = 0;                    // over all rows of all heads
  float widest_range = 0;

  double mean_protected() const {
    double sum = 0;
    for (const std::int32_t rows : protected_rows) sum += rows;
    return sum / static_cast<double>(protected_rows.size());
  }
};

struct InspectReport {
  SequenceStatistics cache;
  std::int32_t budget = 0;
  std::vector<LayerReport> layers;
};

LayerReport report_of(const BoundedContext &context, std::int32_t layer) {
  LayerReport report;
  std::vector<float> ranges;
  for (std::int32_t head = 0; head < context.heads(layer); ++head) {
    const HeadRows rows = context.inspect(0, layer, head);
    report.protected_rows.push_back(rows.n_protected);
    ranges.insert(ranges.end(), rows.value_ranges.begin(), rows.value_ranges.end());
  }
  const auto middle = ranges.begin() + std::ssize(ranges) / 2;
  std::nth_element(ranges.begin(), middle, ranges.end());
  report.median_range = *middle;
  report.widest_range = *std::max_element(middle, ranges.end());
  return report;
}

std::string as_text(const InspectReport &report) {
  Table table({"layer", "protected", "of budget", "fewest", "most", "median range", "widest"});
  const auto share = [&](double rows) {
    return fmt::format("{:.1f}%", 100 * rows / report.budget);
  };
  double sum = 0;
  for (std::size_t i = 0; i < report.layers.size(); ++i) {
    const LayerReport &layer = report.layers[i];
    const double mean = layer.mean_protected();
    const auto [fewest, most] = std::ranges::minmax(layer.protected_rows);
    table.add({fmt::format("{}", i), fmt::format("{:.0f}", mean), share(mean), with_commas(fewest),
               with_commas(most), fmt::format("{:.2f}", layer.median_range),
               fmt::format("{:.2f}", layer.widest_range)});
    sum += mean;
  }
  const double mean = sum / static_cast<double>(report.layers.size());
  table.add({"all", fmt::format("{:.0f}", mean), share(mean), "", "", "", ""});
  return fmt::format(
      "{} of {} tokens in each head after {} evictions. Protected: rows that the "
      "next eviction spares for their values.\n\n{}",
      with_commas(report.cache.rows), with_commas(report.cache.tokens),
      with_commas(report.cache.evictions), table.str());
}

std::string as_json(const InspectReport &report) {
  nlohmann::ordered_json json = {{"tokens", report.cache.tokens},
                                 {"rows", report.cache.rows},
                                 {"evictions", report.cache.evictions},
                                 {"budget", report.budget},
                                 {"layers", nlohmann::json::array()}};
  for (const LayerReport &layer : report.layers) {
    json["layers"].push_back({{"protected", layer.protected_rows},
                              {"median_range", layer.median_range},
                              {"widest_range", layer.widest_range}});
  }
  return json.dump(2) + "\n";
}

BoundedOptions options_of(const InspectArguments &arguments) {
  if (!arguments.policy.evicts()) {
    throw Error(fmt::format("policy {} evicts nothing, so there is nothing to look at",
                            arguments.policy.policy));
  }
  if (arguments.policy.pin_prompt.value_or(0.0f) > 0) {
    throw Error("--pin-prompt: the text is read as one that goes on, no part of it is a prompt");
  }
  BoundedOptions options{
      .policy = arguments.policy.params(static_cast<std::uint64_t>(arguments.seed)),
      .pin_prompt = 0.0f,
      .context = arguments.context.interruptible()};
  arguments.model.check_calibration({options.policy.policy});
  if (arguments.force) return options;
  const MemoryPlanner planner = arguments.model.planner();
  check_memory(planner.plan_total(options), memory_for_model(arguments.model.n_gpu_layers),
               "--budget");
  return options;
}

// Evicts as it would if the tokens came one by one.
void read_text(const std::vector<llama_token> &tokens, BoundedContext &context) {
  StatusLine status;
  const auto total = std::ssize(tokens);
  for (std::int64_t done = 0; done < total;) {
    if (interrupted()) throw Interrupted();
    const auto piece = std::min<std::int64_t>(context.params(0).interval, total - done);
    context.decode({{.tokens = std::span(tokens).subspan(static_cast<std::size_t>(done),
                                                         static_cast<std::size_t>(piece))}});
    done += piece;
    if (status.due()) {
      status.show(fmt::format(" {}/{} tokens ", with_commas(done), with_commas(total)));
    }
  }
  status.clear();
}

void inspect(const InspectArguments &arguments) {
  install_interrupt_handlers();
  arguments.model.start_llama();
  const BoundedOptions options = options_of(arguments);
  const engine::Model model(arguments.model.options());
  std::vector<llama_token> tokens = model.tokenize(read_prompt({}, arguments.text));
  if (arguments.tokens > 0 && std::ssize(tokens) > arguments.tokens) {
    tokens.resize(static_cast<std::size_t>(arguments.tokens));
  }
  TrainingLength().check("the text has", std::ssize(tokens), model.n_ctx_train());
  BoundedContext context = model.make_context(options);
  read_text(tokens, context);

  InspectReport report{
      .cache = context.statistics(0), .budget = options.policy.budget, .layers = {}};
  for (std::int32_t layer = 0; layer < context.bounded_layers(); ++layer) {
    report.layers.push_back(report_of(context, layer));
  }
  write_output(arguments.json ? as_json(report) : as_text(report));
}

}  // namespace

void add_inspect_command(CLI::App &app) {
  CLI::App *command =
      app.add_subcommand("inspect", "what a bounded cache protects after a text, layer by layer");
  const auto arguments = std::make_shared<InspectArguments>();
  command->add_option("-f,--file", arguments->text, "the text; -: standard input");
  command->add_option("-n,--tokens", arguments->tokens, "tokens of the text to read (default: all)")
      ->check(at_least(2));
  command->add_option("-s,--seed", arguments->seed, "of the evictions' draws")
      ->check(at_least(0))
      ->capture_default_str();
  command->add_flag("--json", arguments->json, "print JSON, each head by itself");
  command->add_flag("--force", arguments->force,
                    "start even if the memory does not seem to suffice");
  arguments->model.add_to(*command);
  arguments->policy.add_to(*command);
  arguments->context.add_to(*command);
  command->callback([arguments] { inspect(*arguments); });
}

}  // namespace vase::cli
