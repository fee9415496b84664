// The way of an accepted request's answers to its client.
#pragma once

#include "server/completion_service.hpp"
#include "server/metrics.hpp"

namespace vase::server {

/// Counts what became of the answers that the engine has finished: the outcome of a request is what
/// its client got. Lives as long as the response is made and sent, in the connection's thread.
class Delivery {
 public:
  /// `metrics` must outlive this.
  Delivery(Completion completion, Metrics &metrics);
  /// If the client was not handed everything, the engine lets go of the request.
  ~Delivery();
  Delivery(const Delivery &) = delete;
  Delivery &operator=(const Delivery &) = delete;

  Task &task() { return *completion_.task; }
  ResponseWriter &writer() { return *completion_.writer; }

  /// The client was handed all there is to read. Called before the mark that ends the response is
  /// sent, so that whoever has seen the end also sees it counted.
  void complete();

 private:
  Completion completion_;
  Metrics &metrics_;
  bool counted_ = false;
};

}  // namespace vase::server
