#include "server/delivery.hpp"

#include <chrono>
#include <utility>

#include "server/connection.hpp"

namespace vase::server {
namespace {

double seconds_since_accepted(const Task &task) {
  return std::chrono::duration<double>(Clock::now() - task.accepted()).count();
}

// Why a response was not sent to its end, as this thread's connection knows it.
Outcome how_it_ended() {
  const Connection *connection = Connection::current();
  if (connection == nullptr) return Outcome::failed;
  switch (connection->write_failure()) {
    case WriteFailure::client_stalled:
      return Outcome::stalled;
    case WriteFailure::cut:
      return Outcome::aborted;
    case WriteFailure::client_gone:
      return Outcome::cancelled;
    case WriteFailure::none:
      break;
  }
  return connection->client_gone() ? Outcome::cancelled : Outcome::failed;
}

}  // namespace

Delivery::Delivery(Completion completion, Metrics &metrics)
    : completion_(std::move(completion)), metrics_(metrics) {}

Delivery::~Delivery() {
  if (counted_) return;
  const Outcome why = how_it_ended();
  // The engine counts its own outcomes, and leaves those to us whose answers were whole.
  if (task().abandon(why) == Outcome::completed) {
    metrics_.count_end(why, seconds_since_accepted(task()));
  }
}

void Delivery::complete() {
  if (counted_ || task().outcome() != Outcome::completed) return;
  counted_ = true;
  metrics_.count_end(Outcome::completed, seconds_since_accepted(task()));
}

}  // namespace vase::server
