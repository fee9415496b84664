#include "cli/eval_arguments.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <limits>
#include <system_error>
#include <utility>

#include "cli/eval_tables.hpp"
#include "cli/run_settings.hpp"
#include "cli/settings_text.hpp"
#include "cli/variants.hpp"
#include "eval/cache_rows.hpp"
#include "eval/packing.hpp"
#include "eval/run_file.hpp"

namespace vase::cli {
namespace {

constexpr const char *kQuestionGroup = "Questions";
constexpr std::uint64_t kPublicSeed = 2606;  // of eval/problems

void add_asking(CLI::App &app, SamplingArguments &sampling, ThinkingArguments &thinking,
                int &samples, std::int64_t &n_predict) {
  sampling.add_to(app);
  thinking.add_to(app);
  app.add_option("--samples", samples, "answers to each question; accuracy is pass@1 over them")
      ->check(at_least(1, 10000))
      ->capture_default_str();
  app.add_option("-n,--n-predict,--predict", n_predict,
                 "tokens to generate at most (default: for our tasks half as much again as the "
                 "longest right chain, never more than the model was trained on)")
      ->check(at_least(1));
}

eval::Asking asking_of(const SamplingArguments &sampling, const ThinkingArguments &thinking,
                       int samples, std::int64_t n_predict) {
  thinking.check(n_predict > 0 ? n_predict : -1);
  eval::Asking asking{
      .sampling = sampling.options, .samples = samples, .thinking = thinking.options};
  if (n_predict > 0) asking.limit = n_predict;
  return asking;
}

// "aime:temp=0.6:samples=8" -> the task, and how it is asked.
std::pair<std::string, eval::Asking> parse_ask(const std::string &text, SamplingArguments sampling,
                                               ThinkingArguments thinking, int samples,
                                               std::int64_t n_predict) {
  const NamedSettings settings = split_settings(text);
  CLI::App parser;
  add_asking(parser, sampling, thinking, samples, n_predict);
  parse_settings(parser, settings, text);
  return {settings.name, asking_of(sampling, thinking, samples, n_predict)};
}

// "2/8": each eighth question, from the second on. Those of a file often become harder, and parts
// of one piece would take unequal times.
std::vector<eval::Question> part_of(std::vector<eval::Question> questions,
                                    const std::string &text) {
  std::size_t index = 0, count = 0;
  const char *end = text.data() + text.size();
  const auto [slash, bad_index] = std::from_chars(text.data(), end, index);
  const bool divided = bad_index == std::errc() && slash != end && *slash == '/';
  const auto [rest, bad_count] = std::from_chars(divided ? slash + 1 : end, end, count);
  if (!divided || bad_count != std::errc() || rest != end || index < 1 || index > count) {
    throw Error(fmt::format("\"{}\" is no part: 2/8 is the second of eight", text));
  }
  std::vector<eval::Question> part;
  for (std::size_t i = index - 1; i < questions.size(); i += count)
    part.push_back(std::move(questions[i]));
  return part;
}

}  // namespace

EvalArguments::EvalArguments() {
  selection.tiers = {"2k"};
  selection.seed = kPublicSeed;
  sampling.seed = 1;
  sampling.options.temperature = 0.0f;
  sampling.options.min_p = 0.0f;
}

void EvalArguments::add_to(CLI::App &app) {
  const auto option = [&](const char *name, auto &value, const char *help) {
    return app.add_option(name, value, help);
  };
  const auto list = [&](const char *name, std::vector<std::string> &value, const char *help) {
    return option(name, value, help)->delimiter(',')->capture_default_str();
  };
  list("--tasks", selection.tasks, "tasks, or all")->group(kQuestionGroup);
  list("--tiers", selection.tiers, "lengths of our tasks: 1k, 2k, 4k, 8k or all")
      ->group(kQuestionGroup);
  option("--count", selection.count, "questions of each task and tier, at most")
      ->check(at_least(1))
      ->capture_default_str()
      ->group(kQuestionGroup);
  option("--split", selection.split, "train, tune or test: which of our tasks' problems")
      ->capture_default_str()
      ->group(kQuestionGroup);
  option("--problem-seed", selection.seed,
         "our problems are made from this seed (the default gives the public test set)")
      ->capture_default_str()
      ->group(kQuestionGroup);
  option(
      "--problems", problems,
      "instead of our tasks, files of questions: of `vase tasks make`, or public ones (JSON Lines, "
      "JSON or CSV: docs/question-sets.md); a task is called as its file")
      ->type_name("FILE")
      ->group(kQuestionGroup);
  option("--pack", pack,
         "this many questions in one prompt, each graded by itself; --count is the number of "
         "prompts of each task")
      ->check(at_least(2, 256))
      ->group(kQuestionGroup);
  option("--turns", turns,
         "this many questions one after the other in one conversation, then look-backs at the "
         "first half of them; --count is the number of conversations, -n the limit of each answer "
         "(default: 512)")
      ->check(at_least(2, 256))
      ->excludes("--pack")
      ->group(kQuestionGroup);
  option("--grader", grader,
         "for --problems: number, latex, choice, text, exact, assignment or equation (default: "
         "as they call for)")
      ->group(kQuestionGroup);
  option("--where", where,
         "for --problems: only questions whose field has one of these values: level=1,2,3")
      ->type_name("FIELD=VALUE[,VALUE]")
      ->group(kQuestionGroup);
  option("--instruction", instruction,
         "for --problems: written behind each question (default: to think, and to put the answer "
         "within \\boxed{})")
      ->group(kQuestionGroup);
  app.add_flag("--check-problems", check_problems,
               "only read --problems, and say what they hold and whether their own answers are "
               "graded right; nothing is run")
      ->group(kQuestionGroup);
  option("--part", part,
         "only this part of the questions, 2/8 for the second of eight, as several machines take "
         "one each")
      ->type_name("I/N")
      ->group(kQuestionGroup);
  list("--policies", policies, "policies to compare");
  list("--budgets", budgets,
       "rows, 4x for a quarter of the task's mean full-cache length, or prompt for that of its "
       "prompt");
  option("--lengths", lengths, "take full-cache lengths from this run, instead of running full")
      ->type_name("FILE");
  add_asking(app, sampling, thinking, samples, n_predict);
  app.add_flag("--greedy", greedy, "the likeliest token always (as --temp 0)");
  option("--ask", ask, "how one task is asked: aime:temp=0.6:top-p=0.95:samples=8:n-predict=32768")
      ->type_name("TASK:NAME=VALUE...");
  option("-o,--out", out, "JSONL file of the run, or a folder for it; goes on if it is there")
      ->capture_default_str();
  option("--parallel,--np", parallel, "questions at a time")
      ->check(at_least(1))
      ->capture_default_str();
  option(
      "--contexts", contexts,
      "contexts that work side by side, each with --parallel questions: more than one keeps a GPU "
      "busy while the CPU prepares the next step")
      ->check(at_least(1, 64))
      ->capture_default_str();
  app.add_flag("--keep-text", keep_text, "also write down what the model was asked and said");
  option("--base", base, kBaseHelp);
  option("--json", json, "also write the tables to this file");
  option("--summary", summary, "only print the tables of these runs; nothing is run")
      ->type_name("FILE");
  chat.add_to(app);
  option("--system-prompt,--sys", system, "system message");
  app.add_flag("--force", force, "start even if the memory does not seem to suffice");
  model.add_to(app);
  policy.add_parameters_to(app);
  context.add_to(app);
}

eval::EvaluationPlan EvalArguments::plan() const {
  SamplingArguments common = sampling;
  if (greedy) common.options.temperature = 0.0f;
  eval::EvaluationPlan plan;
  plan.seed = static_cast<std::uint64_t>(sampling.seed < 0 ? 1 : sampling.seed);
  plan.asking = asking_of(common, thinking, samples, n_predict);
  for (const std::string &text : ask) {
    plan.asking_by_task.insert(parse_ask(text, common, thinking, samples, n_predict));
  }
  plan.variants = parse_variants(policies, policy, plan.seed);
  std::vector<const vase_policy *> compared;
  for (const eval::Variant &variant : plan.variants) compared.push_back(variant.policy);
  model.check_calibration(compared);
  for (const std::string &text : budgets) {
    const eval::Budget budget = eval::parse_budget(text);
    for (const eval::Variant &variant : plan.variants) {
      if (variant.has_budget() && budget.rows > 0)
        variant.params(budget.rows);  // throws if it is too small
    }
    plan.budgets.push_back(budget);
  }
  if (!lengths.empty()) plan.lengths = eval::mean_full_lengths(eval::read_run(lengths).records);

  plan.questions = questions();
  const bool multiples = std::ranges::any_of(plan.budgets, &eval::Budget::needs_lengths);
  const bool bounded = std::ranges::any_of(plan.variants, &eval::Variant::has_budget);
  if (bounded && multiples && plan.lengths.empty() && !plan.has_full()) {
    throw Error(
        "budgets like 4x or prompt are shares of the full cache's mean length: add full to "
        "--policies, name "
        "a run that has it with --lengths FILE, or give budgets in rows");
  }
  if (part.empty()) return plan;
  if (bounded && multiples && plan.lengths.empty()) {
    throw Error(
        "budgets like 4x or prompt are shares of a mean over all questions, and --part has some: "
        "name a run of all with --lengths FILE, or give budgets in rows");
  }
  plan.questions = part_of(std::move(plan.questions), part);
  return plan;
}

std::vector<eval::Question> EvalArguments::questions() const {
  const int together = pack + turns;  // one of both is 0
  if (problems.empty()) {
    if (together > 0) {
      throw Error("--pack and --turns put questions of a file together: name it with --problems");
    }
    if (!where.empty() || instruction || check_problems) {
      throw Error("--where, --instruction and --check-problems are for --problems FILE");
    }
    return eval::make_questions(selection);
  }
  std::vector<eval::Question> read;
  std::optional<eval::Grader> chosen;
  if (!grader.empty()) chosen = eval::grader_from_name(grader);
  std::vector<std::string> notes;
  const eval::ReadOptions reading{
      .grader = chosen,
      .instruction = together > 0 ? "" : instruction,  // packing says it
      .where = where,
      .notes = &notes};
  for (const std::string &file : problems) {
    std::ranges::move(eval::read_questions(file, reading), std::back_inserter(read));
  }
  for (const std::string &note : notes) fmt::print(stderr, "vase: {}\n", note);
  if (together == 0) return eval::select(std::move(read), selection);
  eval::TaskSelection all = selection;
  all.count = std::numeric_limits<int>::max();
  read = eval::select(std::move(read), all);
  const eval::Packing packing{.size = together,
                              .count = selection.count,
                              .seed = selection.seed,
                              .instruction = instruction};
  return pack > 0 ? eval::pack(read, packing) : eval::take_in_turns(read, packing);
}

nlohmann::ordered_json EvalArguments::settings() const {
  nlohmann::ordered_json settings = settings_of(model);
  settings.update({{"cache_types", eval::cache_types(context.params())},
                   {"seed", sampling.seed},
                   {"temperature", greedy ? 0.0f : sampling.options.temperature},
                   {"top_k", sampling.options.top_k},
                   {"top_p", sampling.options.top_p},
                   {"min_p", sampling.options.min_p},
                   {"n_predict", n_predict},
                   {"ask", ask},
                   {"system", system}});
  settings.update(settings_of(chat, model));
  settings.update(settings_of(policy));
  // Run files from before these were there lack them.
  if (pack > 0) settings["pack"] = pack;
  if (turns > 0) settings["turns"] = turns;
  if (instruction) settings["instruction"] = *instruction;
  if (thinking.options.budget >= 0) {
    settings["reasoning_budget"] = thinking.options.budget;
    settings["reasoning_budget_message"] = thinking.options.message;
  }
  return settings;
}

std::filesystem::path EvalArguments::run_path() const { return eval::run_path_of(out); }

}  // namespace vase::cli
