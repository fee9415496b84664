// Which policies a request may choose.
#pragma once

#include <string>

#include "server/request.hpp"

namespace vase::server {

/// Whether requests may choose `policy` on a server of these rules: not what keeps everything where
/// cells are for a budget (nor the other way round), and not what needs queries where none are
/// kept.
bool is_offered(const RequestRules &rules, const vase_policy *policy);

/// JSON of GET /vase/policies: all there are, in the registry's order.
std::string policies_json(const RequestRules &rules);

/// "--policy NAME" of a server that offers all that evict.
std::string policy_that_offers_all();

}  // namespace vase::server
