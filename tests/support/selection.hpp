// Runs vase_select for tests and reads its masks.
#ifndef VASE_TESTS_SUPPORT_SELECTION_HPP
#define VASE_TESTS_SUPPORT_SELECTION_HPP

#include <gtest/gtest.h>

#include <cctype>
#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "vase/vase.h"

namespace vase::testing {

inline vase_params params_for(const char* policy, int32_t budget) {
  return vase_params_default(vase_policy_find(policy), budget);
}

/// [n_heads][n_rows] mask.
inline std::vector<uint8_t> select(const vase_params& params, const vase_layer& layer) {
  std::vector<uint8_t> keep(static_cast<size_t>(layer.n_heads) * static_cast<size_t>(layer.n_rows),
                            2);
  std::vector<std::byte> workspace(vase_workspace_size(&params, &layer));
  EXPECT_EQ(vase_select(&params, &layer, 0, layer.n_heads, keep.data(), workspace.data(),
                        workspace.size()),
            VASE_OK)
      << vase_last_error();
  return keep;
}

/// [n_heads][n_rows] scores before the draw.
inline std::vector<float> scores(const vase_params& params, const vase_layer& layer) {
  std::vector<float> out(static_cast<size_t>(layer.n_heads) * static_cast<size_t>(layer.n_rows));
  std::vector<std::byte> workspace(vase_workspace_size(&params, &layer));
  EXPECT_EQ(vase_scores(&params, &layer, 0, layer.n_heads, out.data(), workspace.data(),
                        workspace.size()),
            VASE_OK)
      << vase_last_error();
  return out;
}

/// Token positions that a head keeps.
inline std::set<int32_t> kept_tokens(const std::vector<uint8_t>& keep, const vase_layer& layer,
                                     int32_t head) {
  std::set<int32_t> tokens;
  const size_t offset = static_cast<size_t>(head) * static_cast<size_t>(layer.n_rows);
  for (int32_t i = 0; i < layer.n_rows; ++i)
    if (keep[offset + static_cast<size_t>(i)] != 0)
      tokens.insert(layer.positions != nullptr ? layer.positions[offset + static_cast<size_t>(i)]
                                               : i);
  return tokens;
}

inline std::vector<std::string> policy_names() {
  std::vector<std::string> names;
  for (int32_t i = 0; i < vase_policy_count(); ++i)
    names.emplace_back(vase_policy_name(vase_policy_at(i)));
  return names;
}

/// A policy's name as a part of a test's name.
inline std::string test_name(std::string policy) {
  for (char& c : policy)
    if (std::isalnum(static_cast<unsigned char>(c)) == 0) c = '_';
  return policy;
}

}  // namespace vase::testing

#endif
