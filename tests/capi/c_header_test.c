/* vase.h is a C header: this file compiles it as C. */
#include "vase/vase.h"

int32_t policies_seen_from_c(void) {
  vase_params params = vase_params_default(vase_policy_find("vase"), 4096);
  return vase_params_check(&params) == VASE_OK ? vase_policy_count() : -1;
}
