// A context of an evaluation, and what its steps read.
#pragma once

#include <functional>
#include <memory>

#include "llama/selection/selector.hpp"
#include "vase/llama.hpp"

namespace vase::eval {

struct SelectingContext {
  std::unique_ptr<Selector> selector;  ///< nullptr: all steps read all rows; is called by `context`
  BoundedContext context;
};

/// Makes a context with `make`; one whose steps select (Selector::select) if `selects`. Throws
/// Error as `make` does, and if the model does not allow for a selection.
inline SelectingContext make_selecting_context(
    const std::function<BoundedContext(const BoundedOptions &)> &make, BoundedOptions options,
    bool selects) {
  if (!selects) return {nullptr, make(options)};
  auto selector = std::make_unique<Selector>(options.context.n_threads);
  selector->listen(options.context);
  SelectingContext made{std::move(selector), make(options)};
  made.selector->attach(made.context);
  return made;
}

}  // namespace vase::eval
