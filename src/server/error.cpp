#include "server/error.hpp"

#include "server/json.hpp"

namespace vase::server {
namespace {

OrderedJson text_or_null(const std::string &text) {
  return text.empty() ? OrderedJson() : OrderedJson(text);
}

}  // namespace

std::string ApiError::body() const {
  const OrderedJson error = {{"message", what()},
                             {"type", type_},
                             {"param", text_or_null(param_)},
                             {"code", text_or_null(code_)}};
  return dump({{"error", error}});
}

ApiError invalid_field(const std::string &field, const std::string &complaint,
                       const std::string &code) {
  return {400, field + " " + complaint, "invalid_request_error", field, code};
}

}  // namespace vase::server
