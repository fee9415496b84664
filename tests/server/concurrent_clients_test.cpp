// The server over HTTP, in this process, with clients that come at once and leave in the middle:
// for the thread sanitizer above all.
#include <gtest/gtest.h>
#include <httplib.h>

#include <algorithm>
#include <atomic>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "../engine/text_model.hpp"
#include "../llama/tiny_models.hpp"
#include "engine/log.hpp"
#include "server/json.hpp"
#include "server/server.hpp"

namespace vase::server {
namespace {

class ConcurrentClients : public testing::Test {
 protected:
  static BoundedOptions options() {
    BoundedOptions options;
    options.policy = vase_params_default(vase_policy_find("vase"), 64);
    options.policy.recency = options.policy.interval = 16;
    options.policy.window = 16;
    options.n_sequences = 2;
    options.context.n_ctx = 256;
    options.context.n_threads = options.context.n_threads_batch = 1;
    return options;
  }

  void SetUp() override {
    engine::init_llama(false);
    const tests::TemporaryFolder folder;
    engine::test::write_text_model(folder / "text.gguf");
    model_.emplace(engine::ModelOptions{.path = folder / "text.gguf", .n_gpu_layers = 0});
    context_.emplace(model_->make_context(options()));
    server_ = std::make_unique<Server>(
        *model_, *context_,
        ServerOptions{.port = 0,
                      .model_name = "tiny",
                      .seed = 1,
                      .schedule = {.queue = 32, .prompt_cache = 1 << 20},
                      .max_tokens = 4096,
                      .recency = 16,
                      .interval = 16,
                      .full_cache_bytes = [](std::int64_t tokens) { return tokens * 8; }});
    listener_ = std::thread([this] { server_->listen(); });
  }
  void TearDown() override {
    EXPECT_TRUE(server_->stop(std::chrono::seconds(60)));
    listener_.join();
  }

  httplib::Client client() const {
    httplib::Client client("127.0.0.1", server_->port());
    client.set_read_timeout(120);
    return client;
  }
  std::string get(const char *path) const {
    const httplib::Result result = client().Get(path);
    EXPECT_TRUE(result && result->status == 200) << path;
    return result ? result->body : "";
  }
  std::int64_t metric(const std::string &name) const {
    const std::string text = get("/metrics");
    const auto at = text.find("\n" + name + " ");
    return at == text.npos ? -1 : std::stoll(text.substr(at + name.size() + 2));
  }

  /// Asks for up to `tokens`; leaves after `most` bytes, if that many come.
  static void ask(httplib::Client client, std::int64_t tokens, bool stream, const char *policy,
                  std::size_t most) {
    const Json body = {{"prompt", std::string(100, 'p')},
                       {"max_tokens", tokens},
                       {"ignore_eos", true},
                       {"stream", stream},
                       {"vase", {{"policy", policy}}}};
    httplib::Request request;
    request.method = "POST";
    request.path = "/v1/completions";
    request.set_header("Content-Type", "application/json");
    request.body = body.dump();
    std::string came;
    request.content_receiver = [&](const char *data, std::size_t size, std::uint64_t,
                                   std::uint64_t) {
      came.append(data, size);
      return came.size() < most;
    };
    const httplib::Result result = client.send(request);
    EXPECT_TRUE(came.size() >= most || (result && result->status == 200)) << came;
    EXPECT_FALSE(came.empty());
  }

  std::optional<engine::Model> model_;
  std::optional<BoundedContext> context_;
  std::unique_ptr<Server> server_;
  std::thread listener_;
};

TEST_F(ConcurrentClients, ComeAtOnceAndLeaveInTheMiddle) {
  constexpr int kClients = 6, kRequests = 4;
  std::vector<std::thread> threads;
  std::atomic<int> working = kClients;
  for (int c = 0; c < kClients; ++c)
    threads.emplace_back([&, c] {
      for (int i = 0; i < kRequests; ++i) {
        const bool leaves = (c + i) % 3 == 0, stream = leaves || (c + i) % 3 == 1;
        const char *policy = i % 2 == 0 ? "vase" : "streaming";
        ask(client(), leaves ? 4000 : 60 + 10 * i, stream, policy,
            leaves ? 500U : std::size_t{1} << 30U);
      }
      --working;
    });
  // The page looks on meanwhile.
  while (working > 0) {
    const Json status = Json::parse(get("/vase/status"));
    EXPECT_EQ(status["slots"].size(), 2U);
    EXPECT_FALSE(get("/vase/cache?slot=1&layer=0&head=0").empty());
    EXPECT_GE(metric("vase_requests_accepted_total"), 0);
  }
  for (std::thread &thread : threads) thread.join();

  const auto ended = [&](const char *outcome) {
    return metric(std::string("vase_requests_total{outcome=\"") + outcome + "\"}");
  };
  constexpr int kLeft = kClients * kRequests / 3;
  EXPECT_EQ(metric("vase_requests_accepted_total"), kClients * kRequests);
  EXPECT_EQ(ended("completed"), kClients * kRequests - kLeft);
  // Those that have left are noticed by and by.
  for (int tries = 0; ended("cancelled") < kLeft && tries < 600; ++tries)
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  EXPECT_EQ(ended("cancelled"), kLeft);
  ask(client(), 5, false, "vase", std::size_t{1} << 30U);
}

}  // namespace
}  // namespace vase::server
