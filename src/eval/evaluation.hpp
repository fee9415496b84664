// Runs an evaluation: many questions at a time in one batch; when one is answered, the next takes
// its place.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <set>
#include <string>
#include <vector>

#include "engine/chat.hpp"
#include "engine/model.hpp"
#include "eval/grading.hpp"
#include "eval/phase_run.hpp"
#include "eval/run_file.hpp"
#include "eval/schedule.hpp"
#include "eval/side_by_side.hpp"
#include "vase/llama.hpp"

namespace vase::eval {

struct EvaluationProgress {
  std::size_t done = 0;   ///< samples, those of an earlier start included
  std::size_t total = 0;  ///< of those that are known by now: see `more`
  bool more = false;      ///< budgets depend on the full cache, which is still running
  std::int32_t active = 0;
  double tokens_per_second = 0;
  double seconds_left = 0;  ///< 0: not known yet
  std::string doing;        ///< "full", "1,024 rows"
};

/// How the evaluation meets its surroundings.
struct EvaluationHost {
  std::int32_t parallel = 1;        ///< sequences at a time, of each context
  std::int32_t contexts = 1;        ///< that work side by side, each in a thread of its own
  std::int32_t prompt_chunk = 512;  ///< prompt tokens in one step, at most
  llama_context_params context = {};
  bool keep_text = false;
  std::string system;
  /// Makes a context, or throws Error if it does not fit into memory. Not called twice at once.
  std::function<BoundedContext(const BoundedOptions &)> make_context;
  /// Called after each step, from any context's thread but never twice at once; false stops the
  /// run.
  std::function<bool(const EvaluationProgress &)> progress;
};

class Evaluation {
 public:
  /// All references must outlive this.
  Evaluation(const engine::Model &model, engine::ChatTemplate chat_template,
             const EvaluationPlan &plan, const EvaluationHost &host, GradingDesk &desk,
             RunFile &file);

  /// Tokens that a prompt and its answer may come to at most, over all questions.
  std::int64_t longest_text() const;
  /// Does what the file does not hold yet. Returns false if `progress` stopped it. Throws Error.
  bool run();

 private:
  bool run_phases(std::vector<Job> jobs);
  void run_part(const Phase &part, SideBySide::Lock &lock);
  engine::Request request_for(const Job &job, const Question &turn) const;
  Record record_of(const Answer &answer, double bytes_per_row) const;
  const Question *question_of(const Record &record) const;
  std::vector<RecordedItem> grade(const Question &turn, const std::string &reply,
                                  const Record &record);
  void grade(Record &record);
  void append(const Record &record);
  void grade_the_ungraded();
  bool report(const std::string &doing);
  std::set<std::string> done() const;
  std::size_t index_of(const Question &question) const;

  const engine::Model &model_;
  engine::ChatTemplate chat_template_;
  const EvaluationPlan &plan_;
  const EvaluationHost &host_;
  std::vector<std::int64_t> prompt_tokens_;   // of each question, all its turns
  std::vector<std::string> opened_thoughts_;  // by each question's prompts: the mark, or ""

  GradingDesk &desk_;

  SideBySide contexts_;  // its lock is held for all below, and for calls of the host's functions
  RunFile &file_;
  std::size_t total_ = 0;
  std::int32_t active_ = 0;           // sequences at work in all contexts
  std::int64_t tokens_ = 0;           // generated since the start
  std::int64_t recorded_tokens_ = 0;  // in all records
  std::chrono::steady_clock::time_point start_ = {};
  bool more_ = false;
};

}  // namespace vase::eval
