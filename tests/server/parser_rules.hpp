// Rules of an ordinary server, for the tests and the fuzzer of the request parser.
#pragma once

#include "server/request.hpp"

namespace vase::server {

inline RequestRules test_rules() {
  RequestRules rules;
  rules.n_vocab = 1000;
  rules.policy = vase_params_default(vase_policy_find("vase"), 512);
  rules.policy.recency = 32;
  rules.keeps_queries = true;
  return rules;
}

}  // namespace vase::server
