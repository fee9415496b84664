#include "cuda/recipe.hpp"

#include "policy/policy.hpp"

namespace vase::cuda {

std::optional<Recipe> recipe_of(const vase_policy* policy) {
  const Traits traits = reinterpret_cast<const Policy*>(policy)->traits();
  if (!traits.device_score) return std::nullopt;
  return Recipe{traits.protect, *traits.device_score, traits.choice, traits.evicts, traits.every};
}

}  // namespace vase::cuda
