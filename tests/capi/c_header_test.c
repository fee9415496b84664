/* vase.h is a C header: this file compiles it as C. */
#include "vase/vase.h"

int32_t policies_seen_from_c(void) {
  vase_params params = vase_params_default(vase_policy_find("vase"), 4096);
  return vase_params_check(&params) == VASE_OK ? vase_policy_count() : -1;
}

/* In C the size of a struct is set by hand. */
size_t workspace_seen_from_c(const vase_rows *rows, int32_t n_rows) {
  vase_params params = vase_params_default(vase_policy_full(), 64);
  vase_layer layer = {
      .size = sizeof layer, .keys = *rows, .values = *rows, .n_heads = 1, .n_rows = n_rows};
  return vase_workspace_size(&params, &layer);
}
