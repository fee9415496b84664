// Clients that leave, that read slowly and that do not read at all.
#include "server/connection.hpp"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace vase::server {
namespace {

using std::chrono::milliseconds;
using Time = std::chrono::steady_clock;

class ConnectionTest : public testing::Test {
 protected:
  void SetUp() override {
    int ends[2];
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    client_ = ends[0];
    server_ = ends[1];
  }
  void TearDown() override { close_client(); }

  void close_client() {
    if (client_ >= 0) close(client_);
    client_ = -1;
  }
  /// Writes as httplib does, until nothing more can be sent or all was.
  static bool write_all(Connection &connection, std::size_t size) {
    const std::string data(size, 'x');
    for (std::size_t done = 0; done < size;) {
      const ssize_t n = connection.write(data.data() + done, size - done);
      if (n < 0) return false;
      done += static_cast<std::size_t>(n);
    }
    return true;
  }

  static constexpr std::size_t kMoreThanAnyBuffer = std::size_t{4} << 20U;
  int client_ = -1;
  int server_ = -1;
  std::atomic<bool> cut_ = false;
};

TEST_F(ConnectionTest, EndsAClientThatTakesNothing) {
  Connection connection(server_, {.write = milliseconds(300)}, cut_);
  const auto begin = Time::now();
  EXPECT_FALSE(write_all(connection, kMoreThanAnyBuffer));
  EXPECT_EQ(connection.write_failure(), WriteFailure::client_stalled);
  EXPECT_LT(Time::now() - begin, std::chrono::seconds(10));
  EXPECT_LT(connection.write("x", 1), 0);
}

TEST_F(ConnectionTest, WaitsForAClientThatReads) {
  Connection connection(server_, {.write = milliseconds(2000)}, cut_);
  std::size_t read = 0;
  std::thread reader([&] {
    std::vector<char> buffer(256 * 1024);
    while (read < kMoreThanAnyBuffer) {
      std::this_thread::sleep_for(milliseconds(20));
      const ssize_t n = recv(client_, buffer.data(), buffer.size(), 0);
      if (n <= 0) break;
      read += static_cast<std::size_t>(n);
    }
  });
  EXPECT_TRUE(write_all(connection, kMoreThanAnyBuffer));
  reader.join();
  EXPECT_EQ(read, kMoreThanAnyBuffer);
  EXPECT_EQ(connection.write_failure(), WriteFailure::none);
}

TEST_F(ConnectionTest, IsCutWhileItWaits) {
  Connection connection(server_, {}, cut_);
  std::thread server_that_stops([&] {
    std::this_thread::sleep_for(milliseconds(200));
    cut_ = true;
  });
  const auto begin = Time::now();
  EXPECT_FALSE(write_all(connection, kMoreThanAnyBuffer));
  EXPECT_EQ(connection.write_failure(), WriteFailure::cut);
  char byte = 0;
  EXPECT_LT(connection.read(&byte, 1), 0);
  server_that_stops.join();
  EXPECT_LT(Time::now() - begin, std::chrono::seconds(10));
}

TEST_F(ConnectionTest, NoticesAClientThatLeaves) {
  Connection connection(server_, {}, cut_);
  EXPECT_FALSE(connection.client_gone());
  close_client();
  EXPECT_TRUE(connection.client_gone());
  EXPECT_FALSE(write_all(connection, kMoreThanAnyBuffer));
  EXPECT_EQ(connection.write_failure(), WriteFailure::client_gone);
}

// The engine may ask for a client whose connection has ended, and whose socket's number is another
// connection's by now.
TEST_F(ConnectionTest, IsOutlivedByItsWatch) {
  std::optional<Connection> connection(std::in_place, server_, Patience{}, cut_);
  const std::shared_ptr<const ClientWatch> watch = connection->watch();
  EXPECT_FALSE(watch->gone());
  connection.reset();
  int others[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, others), 0);
  EXPECT_TRUE(others[0] == server_ || others[1] == server_);
  EXPECT_TRUE(watch->gone());
  close(others[0]);
  close(others[1]);
}

}  // namespace
}  // namespace vase::server
