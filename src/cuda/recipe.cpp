#include "cuda/recipe.hpp"

#include "policy/policies.hpp"

namespace vase::cuda {

std::optional<Recipe> recipe_of(const vase_policy* policy) {
  static const struct {
    const Policy& policy;
    Recipe recipe;
  } known[] = {
      {vase_policy_instance(), {Protect::kWidestValues, Score::kAttention, Choose::kDraw, true}},
      {vase_plus_policy_instance(), {Protect::kNothing, Score::kNovelty, Choose::kHighest, true}},
      {vase_cur_policy_instance(), {Protect::kNothing, Score::kLeverage, Choose::kHighest, true}},
      {snapkv_policy_instance(), {Protect::kNothing, Score::kAttention, Choose::kHighest, true}},
      {rkv_policy_instance(), {Protect::kNothing, Score::kRedundancy, Choose::kHighest, true}},
      {streaming_policy_instance(), {Protect::kNothing, Score::kAge, Choose::kHighest, true}},
      {random_policy_instance(), {Protect::kNothing, Score::kEqual, Choose::kDraw, true}},
      {evict_large_policy_instance(),
       {Protect::kNothing, Score::kValueRange, Choose::kLowest, true}},
      {attention_random_policy_instance(),
       {Protect::kRandom, Score::kAttention, Choose::kHighest, true}},
      {full_policy_instance(), {Protect::kNothing, Score::kEqual, Choose::kHighest, false}},
  };
  for (const auto& entry : known)
    if (policy == reinterpret_cast<const vase_policy*>(&entry.policy)) return entry.recipe;
  return std::nullopt;
}

}  // namespace vase::cuda
