#include "cli/interrupt.hpp"

#include <signal.h>
#include <unistd.h>

#include <atomic>

#include "cli/status_line.hpp"

namespace vase::cli {
namespace {

std::atomic<bool> pending{false};
std::atomic<bool> termination{false};
std::atomic<int> last_signal{SIGINT};

void on_signal(int signal) {
  last_signal = signal;
  if (signal == SIGTERM) termination = true;
  if (!pending.exchange(true)) return;
  StatusLine::restore_terminal_in_signal_handler();
  _exit(128 + signal);
}

}  // namespace

void install_interrupt_handlers() {
  struct sigaction action = {};
  action.sa_handler = on_signal;  // no SA_RESTART: a read of the terminal must return
  sigemptyset(&action.sa_mask);
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  signal(SIGPIPE, SIG_IGN);
  signal(SIGXFSZ, SIG_IGN);
}

bool interrupted() { return pending; }

bool terminated() { return termination; }

void clear_interrupt() { pending = termination.load(); }

void stop_decoding_on_interrupt(llama_context_params &params) {
  params.abort_callback = [](void *) { return interrupted(); };
}

int interrupt_exit_code() { return 128 + last_signal; }

}  // namespace vase::cli
