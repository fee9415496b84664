// Who may ask: names of the server, keys, and the pages of other origins.
#pragma once

#include <httplib.h>

#include <optional>
#include <string>
#include <vector>

#include "server/error.hpp"
#include "server/host_names.hpp"

namespace vase::server {

struct AccessOptions {
  std::vector<std::string> api_keys = {};       ///< empty: everyone may ask
  std::string cors_origin = {};                 ///< that browsers may ask from; "": only our own
  std::string host = "127.0.0.1";               ///< that the server listens on
  std::vector<std::string> allowed_hosts = {};  ///< its other names; "*": any
};

class Access {
 public:
  /// Throws Error if an allowed host is none.
  explicit Access(AccessOptions options);

  /// 403 for a name that is not this server's; nullopt if it is. With keys any name will do: a page
  /// that does not know one gets nothing.
  std::optional<ApiError> wrong_host(const httplib::Request &request) const;
  /// Whether the request carries a key, if it needs one.
  bool authorized(const httplib::Request &request) const;

  /// Tells browsers which pages may read the response. With a preflight also what they may send.
  void add_cors(const httplib::Request &request, httplib::Response &response) const;
  /// True if the request is a browser's question whether a page may send another.
  bool is_preflight(const httplib::Request &request) const;

 private:
  AccessOptions options_;
  HostNames names_;
};

}  // namespace vase::server
