// What a client did wrong, or what the server cannot do now, as OpenAI's API says it.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>

namespace vase::server {

class ApiError : public std::runtime_error {
 public:
  ApiError(int status, const std::string &message, std::string type, std::string param = {},
           std::string code = {})
      : std::runtime_error(message),
        status_(status),
        type_(std::move(type)),
        param_(std::move(param)),
        code_(std::move(code)) {}

  int status() const { return status_; }
  const std::string &type() const { return type_; }
  const std::string &param() const { return param_; }  ///< the field at fault; "" if it is none
  const std::string &code() const { return code_; }

  /// Tells the client when to try again.
  ApiError &retry_after(std::int64_t seconds) {
    retry_after_ = seconds;
    return *this;
  }
  std::int64_t retry_after() const { return retry_after_; }  ///< 0: not said

  /// The body of the response: {"error": {"message", "type", "param", "code"}}.
  std::string body() const;

 private:
  int status_;
  std::string type_;
  std::string param_;
  std::string code_;
  std::int64_t retry_after_ = 0;
};

/// 400: a field has a value that cannot be used. The message begins with the field's name.
ApiError invalid_field(const std::string &field, const std::string &complaint,
                       const std::string &code = "invalid_value");

}  // namespace vase::server
