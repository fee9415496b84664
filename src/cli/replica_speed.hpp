// How fast a server is, by a run of `vase bench`.
#pragma once

#include <string>

#include "cli/fleet.hpp"

namespace vase::cli {

/// What `vase bench --json` wrote: a line for each number of sequences, of which the deepest point
/// counts. The most sequences are the slots; prompts are read as fast as in that line. Throws Error
/// if `text` is something else; it is called `name` there.
ReplicaSpeed parse_bench(const std::string &text, const std::string &name);

/// The same of a file.
ReplicaSpeed read_bench(const std::string &path);

}  // namespace vase::cli
