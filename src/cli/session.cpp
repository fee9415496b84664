#include "cli/session.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <utility>

#include "cli/interrupt.hpp"
#include "cli/output.hpp"
#include "cli/units.hpp"
#include "engine/thought_marks.hpp"
#include "eval/thought.hpp"
#include "llama/plan/memory_plan.hpp"

namespace vase::cli {
namespace {

const char *in_words(engine::Finish finish) {
  switch (finish) {
    case engine::Finish::end_of_text:
      return "the model ended the text";
    case engine::Finish::length:
      return "as many as asked for";
    case engine::Finish::stop_string:
      return "a stop string came";
    case engine::Finish::cache_full:
      return "the cache is full";
    case engine::Finish::no_positions:
      return "the model has learned no position beyond";
    case engine::Finish::none:
      break;
  }
  return "interrupted";
}

SessionArguments prepared(SessionArguments arguments) {
  arguments.thinking.check(arguments.n_predict);
  arguments.chat.options(arguments.model);  // what is wrong is known before anything loads
  arguments.model.start_llama();
  if (arguments.n_ctx && arguments.policy.evicts()) {
    throw Error(
        fmt::format("--ctx-size is for --policy {}: with {}, --budget says how many rows "
                    "the cache holds, and the text may be of any length",
                    vase_policy_name(vase_policy_full()), arguments.policy.policy));
  }
  return arguments;
}

}  // namespace

void SessionArguments::add_to(CLI::App &app) {
  app.add_option("-n,--n-predict", n_predict, "tokens to generate; -1: until the text ends")
      ->check(at_least(-1))
      ->capture_default_str();
  model.add_to(app);
  policy.add_to(app);
  policy.add_guard_to(app);
  app.add_option("-c,--ctx-size", n_ctx,
                 fmt::format("--policy {}: tokens that the cache holds",
                             vase_policy_name(vase_policy_full())))
      ->check(at_least(1))
      ->group("Cache");
  sampling.add_to(app);
  thinking.add_to(app);
  context.add_to(app);
  chat.add_to(app);
  app.add_option("--system-prompt,--sys", system, "system message of the conversation");
  app.add_flag("--force", force, "start even if the memory does not seem to suffice");
}

Session::Session(SessionArguments arguments)
    : arguments_(prepared(std::move(arguments))),
      sampling_(arguments_.sampling.resolved()),
      options_(bounded_options()),
      model_(load()),
      context_(model_.make_context(options_)),
      generator_(model_, context_, arguments_.context.batch) {}

BoundedOptions Session::bounded_options() {
  BoundedOptions options{.policy = arguments_.policy.params(sampling_.seed),
                         .pin_prompt = arguments_.policy.pin_prompt,
                         .context = arguments_.context.interruptible()};
  arguments_.model.check_calibration({options.policy.policy});
  const MemoryPlanner planner = arguments_.model.planner();
  const std::int32_t n_ctx_train = llama_model_n_ctx_train(planner.model());
  options.context.n_ctx = static_cast<std::uint32_t>(arguments_.n_ctx.value_or(n_ctx_train));

  MemoryPlan plan = planner.plan_total(options);
  if (arguments_.drops_thoughts) plan.snapshots = plan.kv;
  if (!arguments_.force) {
    check_memory(plan, memory_for_model(arguments_.model.n_gpu_layers),
                 arguments_.policy.evicts()  ? "--budget"
                 : arguments_.drops_thoughts ? "-c, or keep thoughts with --reasoning-preserve"
                                             : "-c");
  }

  full_cache_ = FullCacheCost(plan);
  return options;
}

engine::Model Session::load() {
  engine::ModelOptions options = arguments_.model.options();
  options.progress = [this](float done) {
    if (status_.due()) {
      status_.show(fmt::format(" loading the model: {:.0f}% ", 100 * static_cast<double>(done)));
    }
    return !interrupted();
  };
  try {
    return engine::Model(options);
  } catch (const engine::LoadStopped &) {
    throw Interrupted();
  }
}

engine::Conversation Session::conversation() const {
  return {arguments_.chat.open(model_, arguments_.model), arguments_.system};
}

Turn Session::answer(const std::string &prompt) {
  Turn turn;
  const bool at_start = at_start_;
  try {
    take_turn(prompt, turn);
  } catch (const Error &error) {
    turn.error = error.what();
  }
  generator_.cancel(0);
  if (answering_) {
    past_ = report();
    answering_ = false;
    turn.prompt = generator_.drop_unread_prompt(0);
    if (turn.prompt != engine::PromptRead::none) to_read_.clear();
    ++sampling_.seed;  // another turn, other draws
  }
  at_start_ = at_start && turn.prompt == engine::PromptRead::none;
  return turn;
}

void Session::take_turn(const std::string &prompt, Turn &turn) {
  std::vector<llama_token> tokens = to_read_;
  const std::vector<llama_token> own = tokenize(prompt);
  tokens.insert(tokens.end(), own.begin(), own.end());
  const std::int64_t before = context_.statistics(0).tokens;
  training_length_.check("the text has", before + std::ssize(tokens), model_.n_ctx_train());
  std::vector<std::size_t> boundaries;
  if (arguments_.drops_thoughts && tokens.size() > 1) boundaries = {tokens.size() - 1};
  const engine::ThoughtMarks *opened = engine::thought_opened_by(prompt);
  opened_thought_ = opened == nullptr ? "" : opened->open;
  prompt_end_ = generator_.tokens(0).size() + tokens.size();
  aside_.clear();
  Prompts prompts = context_.prompts(0);
  const std::size_t begin = prompt_end_ - own.size();
  if (begin > 0) prompts.begin_turn(static_cast<std::int64_t>(begin));
  generator_.start(0, {.prompt = std::move(tokens),
                       .sampling = sampling_,
                       .n_predict = arguments_.n_predict,
                       .loop_guard = arguments_.policy.loop_guard,
                       .prompts = prompts,
                       .thinking = arguments_.thinking.options,
                       .boundaries = std::move(boundaries)});
  answering_ = true;
  past_.prompt_reused += before;
  stream(turn);
}

std::vector<llama_token> Session::tokenize(const std::string &prompt) const {
  std::vector<llama_token> tokens = model_.tokenize(prompt, at_start_);
  const std::int32_t room = context_.cells_per_sequence() - context_.statistics(0).rows;
  if (!arguments_.policy.evicts() && std::ssize(tokens) > room) {
    throw Error(
        fmt::format("the prompt has {} tokens, and the full cache has room for {}: give a "
                    "larger -c, or a policy that evicts",
                    with_commas(std::ssize(tokens)), with_commas(room)));
  }
  return tokens;
}

void Session::stream(Turn &turn) {
  std::string &text = turn.text;
  const auto emit = [&](const std::string &piece) {
    if (!piece.empty()) write_output(piece);
    text += piece;
  };
  past_.finish = in_words(engine::Finish::none);
  try {
    while (generator_.busy() && !interrupted()) {
      const std::span<const engine::Event> events = generator_.step();
      if (!generator_.at_boundary().empty()) put_aside();
      for (const engine::Event &event : events) {
        emit(event.text);
        if (event.finish != engine::Finish::none) turn.finish = event.finish;
      }
      if (status_.due()) status_.show(status_text(report()));
    }
  } catch (const Stopped &) {
    // Told by past_.finish, as where the signal came between two steps.
  }
  past_.finish = in_words(turn.finish);
  emit(generator_.cancel(0));
  if (!text.ends_with('\n')) write_output("\n");
  training_length_.check("the text has", context_.statistics(0).tokens, model_.n_ctx_train());
}

void Session::put_aside() {
  const std::span<const llama_token> read = generator_.read_tokens(0);
  aside_tokens_.assign(read.begin(), read.end());
  aside_ = context_.save(0);
}

// Some models have control tokens for marks, which are no text for a reader.
std::string Session::answer_with_marks() const {
  std::string text = opened_thought_;
  for (const llama_token token : generator_.tokens(0).subspan(prompt_end_)) {
    text += model_.piece(token, true);
  }
  return text;
}

void Session::forget_thought(const Turn &turn) {
  if (aside_.empty() || turn.prompt != engine::PromptRead::all) return;
  const std::string whole = answer_with_marks();
  std::string said(eval::after_thinking(whole));
  said.erase(0, std::min(said.find_first_not_of(" \t\r\n"), said.size()));
  if (said.empty() || said.size() == whole.size()) return;
  // What the prompt's end has opened is closed again, as templates write an answer without thought.
  std::string rest = said;
  if (const auto *opened = engine::thought_opened_by(opened_thought_)) {
    rest = std::string(opened->how_to_end()) + "\n\n" + said;
  }
  const std::vector<llama_token> all(generator_.tokens(0).begin(), generator_.tokens(0).end());
  to_read_.assign(all.begin() + static_cast<std::ptrdiff_t>(aside_tokens_.size()),
                  all.begin() + static_cast<std::ptrdiff_t>(prompt_end_));
  const std::vector<llama_token> answer = model_.tokenize(rest, false);
  to_read_.insert(to_read_.end(), answer.begin(), answer.end());
  generator_.clear(0);
  context_.restore(0, aside_);
  generator_.take_over(0, std::move(aside_tokens_));
}

void Session::clear() {
  to_read_.clear();
  generator_.clear(0);
  at_start_ = true;
}

Report Session::report() const {
  Report report = past_;
  if (answering_) {
    const engine::GenerationStatistics &turn = generator_.statistics(0);
    report.prompt_tokens += turn.prompt_tokens;
    report.prompt_done += turn.prompt_done;
    report.generated += turn.generated;
    report.loop_alarms += turn.loop_alarms;
    report.thoughts_cut += turn.thoughts_cut;
    report.prompt_seconds += turn.prompt_seconds;
    report.generate_seconds += turn.generate_seconds;
  }
  const SequenceStatistics cache = context_.statistics(0);
  report.tokens = cache.tokens;
  report.to_reread = generator_.rereading(0) ? std::ssize(generator_.tokens(0)) : 0;
  report.rows = cache.rows;
  const vase_params &policy = options_.policy;
  report.most_rows =
      arguments_.policy.evicts() ? policy.budget + policy.interval : context_.cells_per_sequence();
  report.evictions = generator_.evictions(0);
  report.overhead_seconds = context_.timings().capture + context_.timings().eviction;
  report.kv_bytes = context_.cache_bytes();
  report.full_kv_bytes = full_cache_.at(cache.tokens);
  if (!training_length_.said()) report.n_ctx_train = model_.n_ctx_train();
  report.seed = arguments_.sampling.options.seed;
  return report;
}

void Session::print_summary() const {
  if (isatty(STDERR_FILENO) == 0 && !arguments_.model.verbose && !arguments_.summary) return;
  std::fputs(("\n" + summary_text(report())).c_str(), stderr);
}

}  // namespace vase::cli
