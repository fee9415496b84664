#include "cli/calibrate.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cli/arguments.hpp"
#include "cli/interrupt.hpp"
#include "cli/output.hpp"
#include "cli/prompt.hpp"
#include "cli/status_line.hpp"
#include "cli/table.hpp"
#include "cli/units.hpp"
#include "engine/model.hpp"
#include "llama/plan/calibration.hpp"

namespace vase::cli {
namespace {

struct CalibrateArguments {
  ModelArguments model;
  ContextArguments context;
  std::optional<std::string> text;
  std::string out;
  std::int64_t tokens = 8192;
};

// How alike a head's queries are, from 0 (of all directions) to 1 (the same but for RoPE): the
// length of their mean beside their mean length, over all pairs.
std::vector<double> concentrations(const Calibration::Layer &layer) {
  std::vector<double> shares;
  const std::size_t of_head = layer.values.size() / static_cast<std::size_t>(layer.n_query_heads);
  for (std::size_t first = 0; first < layer.values.size(); first += of_head) {
    const std::size_t pairs = of_head / 3;
    const float *real = layer.values.data() + first;
    double of_mean = 0, lengths = 0;
    for (std::size_t pair = 0; pair < pairs; ++pair) {
      of_mean += std::hypot(real[pair], real[pairs + pair]);
      lengths += static_cast<double>(real[2 * pairs + pair]);
    }
    shares.push_back(lengths > 0 ? of_mean / lengths : 0);
  }
  return shares;
}

std::string as_text(const Calibration &calibration) {
  Table table({"layer", "query heads", "concentration", "least", "most"});
  const auto share = [](double value) { return fmt::format("{:.2f}", value); };
  for (std::size_t i = 0; i < calibration.layers.size(); ++i) {
    const std::vector<double> heads = concentrations(calibration.layers[i]);
    double sum = 0;
    for (const double head : heads) sum += head;
    const auto [least, most] = std::ranges::minmax(heads);
    table.add({fmt::format("{}", i), fmt::format("{}", heads.size()),
               share(sum / static_cast<double>(heads.size())), share(least), share(most)});
  }
  return fmt::format(
      "{}, measured over {} tokens. Concentration: how alike the queries of a head are before "
      "RoPE, 1 if all are the same; the mean over a layer's heads, the least and the most.\n\n{}",
      calibration.model, with_commas(calibration.tokens), table.str());
}

void calibrate(const CalibrateArguments &arguments) {
  install_interrupt_handlers();
  arguments.model.start_llama();
  const engine::Model model(arguments.model.options());
  std::vector<llama_token> tokens = model.tokenize(read_prompt({}, arguments.text));
  const auto most = std::min<std::int64_t>(arguments.tokens, model.n_ctx_train());
  if (std::ssize(tokens) > most) tokens.resize(static_cast<std::size_t>(most));
  StatusLine status;
  const auto progress = [&status](std::int64_t done, std::int64_t total) {
    if (status.due()) {
      status.show(fmt::format(" {}/{} tokens ", with_commas(done), with_commas(total)));
    }
    return !interrupted();
  };
  const Calibration calibration =
      model.calibrate(arguments.context.interruptible(), tokens, progress);
  status.clear();
  write_calibration(arguments.out, calibration);
  write_output(as_text(calibration));
}

}  // namespace

void add_calibrate_command(CLI::App &app) {
  CLI::App *command = app.add_subcommand(
      "calibrate", "measure a model's queries over a text, for policies that need to know them");
  const auto arguments = std::make_shared<CalibrateArguments>();
  command->add_option("-f,--file", arguments->text,
                      "the text, any prose or code; -: standard input");
  command->add_option("-o,--out", arguments->out, "the file to write, for --calibration")
      ->required()
      ->type_name("FILE");
  command
      ->add_option("-n,--tokens", arguments->tokens,
                   "tokens of the text to read, at most; never more than the model was trained on")
      ->check(at_least(64))
      ->capture_default_str();
  arguments->model.add_to(*command);
  arguments->context.add_to(*command);
  command->callback([arguments] { calibrate(*arguments); });
}

}  // namespace vase::cli
