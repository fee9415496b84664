// vase serve, assembled: engine, scheduler, endpoints.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "engine/chat.hpp"
#include "engine/model.hpp"
#include "llama/plan/memory_plan.hpp"
#include "server/completion_service.hpp"
#include "server/connection.hpp"
#include "server/routes.hpp"

namespace vase::server {

struct ServerOptions {
  int port = 8080;  ///< 0: any that is free
  std::string model_name = {};
  std::optional<engine::ChatTemplate> chat_template = {};
  engine::SamplingOptions sampling = {};
  engine::ThinkingOptions thinking = {};  ///< of requests that do not say otherwise
  std::optional<std::uint32_t> seed = {};
  ScheduleOptions schedule = {};
  std::int64_t max_tokens = 32768;
  /// Of all requests; nullopt: what goes with their policy and budget.
  std::optional<std::int32_t> recency = {}, interval = {};
  bool loop_guard = false;  ///< act in the cache when an answer begins to repeat itself
  ServiceLimits limits = {};
  RouteOptions routes = {};  ///< with the address to listen on
  Patience patience = {};
  MemoryPlan memory = {};
  std::function<std::uint64_t(std::int64_t)> full_cache_bytes = {};
};

class Server {
 public:
  /// Binds the port. Both must outlive this. Throws Error.
  Server(const engine::Model &model, BoundedContext &context, const ServerOptions &options);
  ~Server();

  int port() const;
  /// Answers until stop(). Called once, from one thread.
  void listen();
  /// Refuses new requests, lets those at work end and their clients read for up to `drain`, ends
  /// the others, and lets listen() return. Returns false if some had to be ended.
  bool stop(std::chrono::duration<double> drain);

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

/// Keeps malloc from holding on to memory that requests have given back, so that the size of the
/// process stays what it was at the start. For the whole process; call it before anything large is
/// allocated.
void return_freed_memory();

}  // namespace vase::server
