// The endpoints: HTTP on one side, the server's parts on the other.
#pragma once

#include <httplib.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>

#include "server/access.hpp"
#include "server/completion_service.hpp"
#include "server/metrics.hpp"
#include "server/observatory.hpp"
#include "server/stream_event.hpp"

namespace vase::server {

struct RouteOptions {
  AccessOptions access = {};
  bool web_page = true;
  std::size_t max_body = std::size_t{4} << 20U;
};

class Routes {
 public:
  /// References must outlive this, and this the server's listening. Throws Error if the options
  /// name a host that is none.
  Routes(RouteOptions options, CompletionService &completions, const Observatory &observatory,
         Metrics &metrics);

  void add_to(httplib::Server &server);

  /// /health says from now on that this server should get no more requests.
  void begin_drain() { draining_ = true; }
  /// Waits until all responses were written; false if that takes longer.
  bool wait_until_written(std::chrono::duration<double> limit);

 private:
  using HandlerResponse = httplib::Server::HandlerResponse;
  class Responding;
  struct Sending;

  HandlerResponse before_routing(const httplib::Request &request, httplib::Response &response);
  void add_completions(httplib::Server &server, const char *path, Api api);
  void complete(Api api, const std::string &body, httplib::Response &response);
  void send_whole(const std::shared_ptr<Sending> &sending, httplib::Response &response) const;
  /// What a streaming response sends next. Throws what its client is to be told instead.
  StreamEvent next_event(Sending &sending) const;
  void stream(const std::shared_ptr<Sending> &sending, httplib::Response &response) const;
  void add_models(httplib::Server &server);
  void add_observatory(httplib::Server &server);
  void add_assets(httplib::Server &server);
  void explain_error(const httplib::Request &request, httplib::Response &response) const;
  std::string body_of(const httplib::Request &request, const httplib::ContentReader &reader) const;

  RouteOptions options_;
  Access access_;
  CompletionService &completions_;
  const Observatory &observatory_;
  Metrics &metrics_;
  std::atomic<bool> draining_ = false;

  std::mutex mutex_;
  std::condition_variable written_;
  int n_responding_ = 0;
};

}  // namespace vase::server
