#include "recall/run.hpp"

#include <algorithm>
#include <utility>

#include "eval/side_by_side.hpp"
#include "recall/grade.hpp"
#include "recall/reading.hpp"

namespace vase::recall {
namespace {

// One policy at one budget over the texts of one length.
struct Phase {
  const Texts *texts = nullptr;
  const eval::Variant *variant = nullptr;
  std::string budget;  // its label
  vase_params params = {};

  std::int32_t rows() const { return variant->has_budget() ? params.budget : 0; }
};

std::vector<Phase> phases_of(const Plan &plan) {
  std::vector<Phase> phases;
  for (const Texts &texts : plan.texts) {
    const eval::MeanLengths lengths = {{"text", {.all = static_cast<double>(texts.length)}}};
    for (const eval::Variant &variant : plan.variants) {
      if (!variant.has_budget()) {
        phases.push_back({&texts, &variant, variant.label, variant.params(1)});
        continue;
      }
      for (const eval::Budget &budget : plan.budgets) {
        phases.push_back({&texts, &variant, budget.label,
                          variant.params(eval::rows_of(budget, lengths, "text"))});
      }
    }
  }
  return phases;
}

std::int64_t longest_question(const Texts &texts, const Prompt &prompt) {
  std::int64_t longest = 0;
  for (const Text &text : texts.texts) {
    for (const Item &item : text.items)
      longest = std::max(longest, std::ssize(prompt.question(item.question)));
  }
  return longest;
}

std::int64_t longest_text(const Texts &texts) {
  std::int64_t longest = 0;
  for (const Text &text : texts.texts)
    longest = std::max(longest, std::ssize(text.tokens) + std::ssize(text.after));
  return longest;
}

std::int64_t need_of(const Texts &texts, const Prompt &prompt, std::int64_t n_predict) {
  return longest_text(texts) + longest_question(texts, prompt) + n_predict;
}

Record record_of(const Phase &phase, const Text &text, const Item &item, std::int64_t after) {
  return {.category = item.category,
          .depth = item.depth,
          .length = text.length,
          .text = text.index,
          .item = item.id,
          .policy = phase.variant->label,
          .budget = phase.budget,
          .rows = phase.rows(),
          .after = after,
          .expected = item.expected,
          .answer = {}};
}

class Run {
 public:
  Run(const engine::Model &model, const Prompt &prompt, const Plan &plan, const Host &host,
      AnswersFile &file)
      : model_(model), prompt_(prompt), plan_(plan), host_(host), file_(file) {}

  bool run() {
    file_.begin();
    const std::vector<Phase> phases = phases_of(plan_);
    for (const Phase &phase : phases) {
      const std::vector<Task> tasks = tasks_of(phase);
      for (const Task &task : tasks) total_ += task.at_once.size() + task.later.size();
    }
    total_ += file_.records().size();
    return contexts_.run(
        phases.size(), host_.contexts,
        [&](std::size_t phase, eval::SideBySide::Lock &lock) { run(phases[phase], lock); });
  }

 private:
  // What of the texts is not asked yet.
  std::vector<Task> tasks_of(const Phase &phase) const {
    std::vector<Task> tasks;
    for (const Text &text : phase.texts->texts) {
      Task task{.text = &text};
      for (const Item &item : text.items) {
        const auto asked = [&](std::int64_t after) {
          return file_.has(key_of(record_of(phase, text, item, after)));
        };
        if (!asked(0)) task.at_once.push_back(&item);
        if (plan_.after > 0 && !asked(plan_.after)) task.later.push_back(&item);
      }
      if (!task.at_once.empty() || !task.later.empty()) tasks.push_back(std::move(task));
    }
    return tasks;
  }

  // With as many sequences as fit: half as many, and half of these, if memory does not do.
  BoundedContext make_context(const Phase &phase, std::int32_t parallel) const {
    BoundedOptions options{.policy = phase.params,
                           .n_sequences = parallel,
                           .pin_prompt = phase.variant->pin_prompt,
                           .context = host_.context};
    options.context.n_ctx =
        static_cast<std::uint32_t>(need_of(*phase.texts, prompt_, plan_.n_predict));
    for (;; options.n_sequences = std::max(options.n_sequences / 2, 2)) {
      try {
        return host_.make_context(options);
      } catch (const Stopped &) {
        throw;
      } catch (const Error &) {
        if (options.n_sequences <= 2) throw;
      }
    }
  }

  void run(const Phase &phase, eval::SideBySide::Lock &lock) {
    const std::vector<Task> tasks = tasks_of(phase);
    if (tasks.empty()) return;
    BoundedContext context = make_context(phase, host_.parallel);
    const std::int32_t parallel = context.options().n_sequences;
    const std::int32_t most_readers = std::max(parallel / 4, 1);
    const ReadingOptions options{
        .readers = std::min(most_readers, static_cast<std::int32_t>(tasks.size())),
        .prompt_chunk = host_.prompt_chunk,
        .n_predict = plan_.n_predict,
        .seed = plan_.seed};
    Reading reading(model_, prompt_, context, tasks, options);
    while (reading.busy() && !contexts_.stopped()) {
      lock.unlock();
      const std::vector<Answer> answers = reading.step();
      lock.lock();
      for (const Answer &answer : answers) append(phase, answer);
      const bool goes_on = host_.progress({.done = file_.records().size(),
                                           .total = total_,
                                           .policy = phase.variant->label,
                                           .budget = phase.budget,
                                           .length = phase.texts->length,
                                           .parallel = parallel,
                                           .position = reading.position()});
      if (!goes_on) contexts_.stop();
    }
  }

  void append(const Phase &phase, const Answer &answer) {
    Record record = record_of(phase, *answer.text, *answer.item, answer.later ? plan_.after : 0);
    record.answer = answer.said;
    const Grade graded = grade(*answer.item, answer.said);
    record.right = graded.right;
    record.fraction = graded.fraction;
    file_.append(record);
  }

  const engine::Model &model_;
  const Prompt &prompt_;
  const Plan &plan_;
  const Host &host_;

  eval::SideBySide contexts_;  // its lock is held for all below, and for calls of the host's
  AnswersFile &file_;
  std::size_t total_ = 0;
};

}  // namespace

std::int64_t longest(const Plan &plan, const Prompt &prompt) {
  std::int64_t longest = 0;
  for (const Texts &texts : plan.texts)
    longest = std::max(longest, need_of(texts, prompt, plan.n_predict));
  return longest;
}

bool run(const engine::Model &model, const Prompt &prompt, const Plan &plan, const Host &host,
         AnswersFile &file) {
  return Run(model, prompt, plan, host, file).run();
}

}  // namespace vase::recall
