// A run of `vase recall`: the same texts and questions under every policy and budget.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "engine/model.hpp"
#include "eval/budget.hpp"
#include "eval/schedule.hpp"
#include "recall/answers_file.hpp"
#include "recall/prompt.hpp"
#include "recall/text.hpp"
#include "vase/llama.hpp"

namespace vase::recall {

/// The texts of one length.
struct Texts {
  std::int64_t length = 0;
  std::vector<Text> texts;
};

struct Plan {
  std::vector<Texts> texts = {};
  std::int64_t after = 0;  ///< tokens that are read on before all is asked again; 0: it is not
  std::vector<eval::Variant> variants = {};
  std::vector<eval::Budget> budgets = {};  ///< multiples are of the length
  std::int64_t n_predict = 48;             ///< tokens of an answer
  std::uint64_t seed = 1;                  ///< of the evictions' draws
};

struct Progress {
  std::size_t done = 0;  ///< answers, those of an earlier start included
  std::size_t total = 0;
  std::string policy, budget;  ///< of the context that made the step, as all below
  std::int64_t length = 0;
  std::int32_t parallel = 0;  ///< sequences
  std::int64_t position = 0;  ///< tokens of a text that are read
};

/// How a run meets its surroundings.
struct Host {
  std::int32_t parallel =
      8;  ///< sequences of a context, of which a quarter reads; fewer where memory does not do
  std::int32_t contexts = 1;        ///< that work side by side, each in a thread of its own
  std::int32_t prompt_chunk = 512;  ///< tokens of texts and questions in one step, at most
  llama_context_params context = {};
  /// Makes a context, or throws Error if it does not fit into memory. Not called twice at once.
  std::function<BoundedContext(const BoundedOptions &)> make_context = {};
  /// Called after each step, from any context's thread but never twice at once; false stops the
  /// run.
  std::function<bool(const Progress &)> progress = {};
};

/// Tokens that a full cache holds at most.
std::int64_t longest(const Plan &plan, const Prompt &prompt);

/// Does what the file does not hold yet: lengths in their order, in each the variants, in each the
/// budgets; each of these in one context. Returns false if `progress` or a signal stopped it.
/// Throws Error.
bool run(const engine::Model &model, const Prompt &prompt, const Plan &plan, const Host &host,
         AnswersFile &file);

}  // namespace vase::recall
