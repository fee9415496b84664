#include "cli/recall_arguments.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <set>

#include "cli/eval_tables.hpp"
#include "cli/prompt.hpp"
#include "cli/run_settings.hpp"
#include "cli/variants.hpp"
#include "eval/cache_rows.hpp"

namespace vase::cli {
namespace {

constexpr const char *kTextGroup = "Texts";

std::vector<std::string> all_categories() {
  std::vector<std::string> names;
  for (const recall::Category &category : recall::categories()) names.emplace_back(category.name);
  return names;
}

template <typename T>
void refuse_twice(const std::vector<T> &values, const char *option) {
  std::set<T> seen;
  for (const T &value : values) {
    if (!seen.insert(value).second)
      throw Error(fmt::format("{}: {} is there twice", option, value));
  }
}

void check_variant(const eval::Variant &variant) {
  if (variant.selection) {
    throw Error(fmt::format(
        "{} cannot be asked: questions are answered from copies of what was read, and what a "
        "selection knows of the rows is not copied; `vase eval` and `vase fidelity` run it",
        variant.label));
  }
  if (variant.loop_guard) {
    throw Error(
        fmt::format("{}: the loop guard is for long answers, and these are short: leave "
                    "+guard out",
                    variant.label));
  }
}

}  // namespace

RecallArguments::RecallArguments() : categories(all_categories()) {
  policy.pins_by_default = false;
}

void RecallArguments::add_to(CLI::App &app) {
  const auto option = [&](const char *name, auto &value, const std::string &help) {
    return app.add_option(name, value, help);
  };
  const auto list = [&](const char *name, auto &value, const std::string &help) {
    return option(name, value, help)->delimiter(',')->capture_default_str();
  };
  option("-f,--file", texts,
         "files of long texts that the facts are planted in, taking turns; -: standard input")
      ->type_name("FILE")
      ->group(kTextGroup);
  list("--lengths", lengths, "tokens of a text with its facts")
      ->check(at_least(256))
      ->group(kTextGroup);
  list("--categories", categories, "what is asked")->group(kTextGroup);
  list("--depths", depths,
       "where an item's first fact stands: 0 is the text's beginning, 1 its end")
      ->check(between(0, 0.99))
      ->group(kTextGroup);
  option("--items", items, "questions of each category and depth at each length")
      ->check(at_least(1, 1000))
      ->capture_default_str()
      ->group(kTextGroup);
  option("--after", after,
         "tokens of the same text that are read on, without facts, before all is asked again; 0: "
         "it is asked once")
      ->check(at_least(0))
      ->capture_default_str()
      ->group(kTextGroup);
  list("--policies,--policy", policies, "policies to compare");
  list("--budgets,--budget", budgets, "rows, or 4x for a quarter of the length");
  option("-n,--n-predict,--predict", n_predict, "tokens of an answer, at most")
      ->check(at_least(1))
      ->capture_default_str();
  option("-s,--seed", seed, "of texts, facts and the evictions' draws; answers are greedy")
      ->check(at_least(0))
      ->capture_default_str();
  option("-o,--out", out, "JSONL file of the answers; goes on if it is there")
      ->capture_default_str();
  option("--parallel,--np", parallel,
         "sequences side by side: a quarter reads texts, the others answer; fewer if memory does "
         "not do")
      ->check(at_least(2))
      ->capture_default_str();
  option("--contexts", contexts,
         "contexts that work side by side, each with a policy and budget of its own: more than one "
         "keeps a GPU busy while the CPU prepares the next step")
      ->check(at_least(1, 64))
      ->capture_default_str();
  option("--report,--summary", report, "only print the tables of these files; nothing is run")
      ->type_name("FILE");
  option("--base", base, kBaseHelp);
  option("--json", json, "also write the tables to this file");
  option("--system-prompt,--sys", system, "system message");
  app.add_flag("--force", force, "start even if the memory does not seem to suffice");
  chat.add_to(app);
  model.add_to(app);
  policy.add_parameters_to(app);
  context.add_to(app);
}

std::optional<engine::ChatTemplate> RecallArguments::chat_of(const engine::Model &loaded) const {
  if (chat.options(model).name_or_text.empty() && !loaded.chat_template()) return std::nullopt;
  return chat.open(loaded, model);
}

recall::Plan RecallArguments::plan() const {
  if (texts.empty())
    throw Error("no text is given: name a file of a long one, such as a novel, with -f FILE");
  recall::Plan plan{.after = after, .n_predict = n_predict};
  plan.seed = static_cast<std::uint64_t>(seed);
  refuse_twice(lengths, "--lengths");
  refuse_twice(depths, "--depths");
  refuse_twice(categories, "--categories");
  refuse_twice(budgets, "--budgets");
  for (const std::string &name : categories) recall::find_category(name);
  plan.variants = parse_variants(policies, policy, plan.seed);
  std::vector<const vase_policy *> compared;
  for (const eval::Variant &variant : plan.variants) {
    check_variant(variant);
    compared.push_back(variant.policy);
  }
  model.check_calibration(compared);
  for (const std::string &text : budgets) plan.budgets.push_back(eval::parse_budget(text));
  for (const std::int64_t length : lengths) {
    const eval::MeanLengths mean = {{"text", {.all = static_cast<double>(length)}}};
    for (const eval::Variant &variant : plan.variants) {
      if (!variant.has_budget()) continue;
      // Throws if it is too small.
      for (const eval::Budget &budget : plan.budgets)
        variant.params(eval::rows_of(budget, mean, "text"));
    }
  }
  return plan;
}

std::vector<recall::Texts> RecallArguments::make_texts(const recall::Prompt &prompt,
                                                       const engine::Model &loaded) const {
  recall::Deal deal{
      .depths = depths, .items = items, .after = after, .seed = static_cast<std::uint64_t>(seed)};
  for (const std::string &name : categories)
    deal.categories.push_back(&recall::find_category(name));
  std::vector<recall::Source> sources;
  for (const std::string &file : texts) sources.emplace_back(file, read_prompt({}, file), loaded);
  std::vector<recall::Texts> made;
  for (const std::int64_t length : lengths)
    made.push_back({length, recall::make_texts(length, deal, sources, prompt, loaded)});
  return made;
}

nlohmann::ordered_json RecallArguments::settings() const {
  std::vector<std::string> files;
  for (const std::string &file : texts)
    files.push_back(file == "-" ? "standard input" : named_file(file));
  nlohmann::ordered_json settings = settings_of(model);
  settings["texts"] = {{"files", files}, {"categories", categories}, {"depths", depths},
                       {"items", items}, {"after", after},           {"seed", seed}};
  settings.update({{"cache_types", eval::cache_types(context.params())},
                   {"n_predict", n_predict},
                   {"system", system}});
  settings.update(settings_of(chat, model));
  settings.update(settings_of(policy));
  return settings;
}

}  // namespace vase::cli
