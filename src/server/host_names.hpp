// The names that a server answers to.
//
// A web page can have its own name resolve to this machine (DNS rebinding); the visitor's browser
// then takes the server for a part of the page's site and lets the page read its answers. What
// gives the page away is the Host header, which still carries its name.
#pragma once

#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace vase::server {

class HostNames {
 public:
  /// `listening`: the address or name that the server listens on. `others`: names it has besides,
  /// for example at a proxy; "*": any. Throws Error if one of them is no host.
  HostNames(const std::string &listening, const std::vector<std::string> &others);

  /// `header`: the value of Host, name or address, with or without a port. True for localhost, the
  /// addresses of this machine and the names that were given.
  bool contains(std::string_view header) const;

 private:
  bool any_ = false;
  std::set<std::string> names_;  // lower case, without port
};

}  // namespace vase::server
