// The six tasks, one file each. To add one: write its file, declare its generator here and add its
// line to registry.cpp.
#pragma once

#include "tasks/draft.hpp"

namespace vase::tasks {

/// A generator may fail to meet the lengths: make_problem throws such drafts away and asks again.
using Generator = Draft (*)(Rng& rng, const Lengths& lengths);

Draft make_arithmetic(Rng& rng, const Lengths& lengths);
Draft make_tracking(Rng& rng, const Lengths& lengths);
Draft make_graph(Rng& rng, const Lengths& lengths);
Draft make_deduction(Rng& rng, const Lengths& lengths);
Draft make_program(Rng& rng, const Lengths& lengths);
Draft make_subset(Rng& rng, const Lengths& lengths);

}  // namespace vase::tasks
