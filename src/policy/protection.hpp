// How many rows a policy protects for their values.
#ifndef VASE_POLICY_PROTECTION_HPP
#define VASE_POLICY_PROTECTION_HPP

#include <span>

#include "policy/policy.hpp"

namespace vase {

/// P less the sinks among the candidates, which count as protected and are kept already. `range`:
/// [n] value ranges, looked at if P is found from them (VASE_PROTECT_AUTO): then P is the number of
/// sinks and of wide ranges among those of the candidates that are not kept yet, within B/32 ..
/// 7B/8.
int32_t rows_to_protect(const Head& head, const Workbench& bench, std::span<const float> range,
                        const KeepSet& keep);
size_t rows_to_protect_bytes(int32_t n);

}  // namespace vase

#endif
