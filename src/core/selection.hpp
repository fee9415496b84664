// Selection: the rivals of eviction that keep the whole cache and read a part of it at each step.
#ifndef VASE_CORE_SELECTION_HPP
#define VASE_CORE_SELECTION_HPP

#include <array>
#include <optional>
#include <string>
#include <string_view>

namespace vase {

enum class Selection {
  kOracle,  ///< the rows of highest attention, query head by query head
  kQuest,   ///< pages whose keys promise the most (arXiv 2406.10774)
};

struct NamedSelection {
  Selection selection;
  const char *name;
  const char *summary;  ///< one line
};

inline constexpr std::array<NamedSelection, 2> kSelections = {{
    {Selection::kOracle, "oracle",
     "selection: keeps all, each step reads the rows of highest attention of each query head, the "
     "most that a trained gate could choose"},
    {Selection::kQuest, "quest",
     "selection: keeps all, each step reads the pages of 16 rows whose bounds promise the most to "
     "each query head, but for the first two layers"},
}};

inline std::optional<Selection> find_selection(std::string_view name) {
  for (const NamedSelection &known : kSelections)
    if (known.name == name) return known.selection;
  return std::nullopt;
}

inline const char *name_of(Selection selection) {
  for (const NamedSelection &known : kSelections)
    if (known.selection == selection) return known.name;
  return "";
}

/// Why there is no policy called `name`, in one line; "" if that is not because it is a selection.
inline std::string why_not_a_policy(std::string_view name) {
  if (!find_selection(name)) return {};
  return std::string(name) +
         " is a selection, not a policy: it keeps the whole cache and bounds what a step reads, so "
         "it saves no memory; only `vase eval` and `vase fidelity` run it, to compare with";
}

}  // namespace vase

#endif
