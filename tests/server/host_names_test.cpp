#include "server/host_names.hpp"

#include <gtest/gtest.h>

#include "vase/llama.hpp"

namespace vase::server {
namespace {

TEST(HostNames, AreTheAddressesOfThisMachine) {
  const HostNames names("0.0.0.0", {});
  for (const char *host : {"localhost", "localhost:8080", "LOCALHOST.:1", "127.0.0.1:8080",
                           "127.1.2.3", "[::1]:8080", "[::ffff:127.0.0.1]", "0.0.0.0:8080"}) {
    EXPECT_TRUE(names.contains(host)) << host;
  }
}

TEST(HostNames, AreNobodyElses) {
  const HostNames names("127.0.0.1", {"llm.example.com"});
  for (const char *host :
       {"evil.example", "evil.example:8080", "127.0.0.1.evil.example", "localhost.evil.example",
        "evil.example:80@localhost", "localhost:evil.example", "a.llm.example.com", "192.0.2.1",
        "[2001:db8::1]:8080", "[::1", "[::1]x", "2130706433", "0x7f.1", "", ":8080"}) {
    EXPECT_FALSE(names.contains(host)) << host;
  }
}

TEST(HostNames, AreThoseThatWereGiven) {
  const HostNames names("box.lan", {"LLM.example.com", "other.example:8443", "2001:db8::7"});
  for (const char *host : {"box.lan:8080", "llm.example.com", "Llm.Example.Com.:443",
                           "other.example", "other.example:1", "[2001:db8::7]:80"}) {
    EXPECT_TRUE(names.contains(host)) << host;
  }
  EXPECT_TRUE(HostNames("127.0.0.1", {"*"}).contains("anything.example"));
}

TEST(HostNames, RefusesWhatIsNoHost) {
  for (const char *name :
       {"http://llm.example.com", "llm.example.com/", "*.example.com", "", "a b"}) {
    EXPECT_THROW(HostNames("127.0.0.1", {name}), Error) << name;
  }
}

}  // namespace
}  // namespace vase::server
