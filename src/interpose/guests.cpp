#include "interpose/guests.hpp"

#include <algorithm>
#include <cstdlib>
#include <mutex>
#include <shared_mutex>
#include <unordered_map>
#include <unordered_set>

#include "interpose/real.hpp"
#include "interpose/report.hpp"
#include "vase/llama.hpp"

namespace vase::interpose {
namespace {

struct Known {
  std::shared_mutex mutex;
  std::unordered_map<const llama_context *, std::unique_ptr<Guest>> guests;
  std::unordered_map<llama_memory_t, Guest *> memories;
  std::unordered_set<const llama_model *> weightless;
};

// Never destroyed: contexts may be freed while the process ends.
Known &known() {
  static auto *const all = new Known;
  return *all;
}

}  // namespace

Guest *guest_of(const llama_context *context) {
  if (Aside::active()) return nullptr;
  const std::shared_lock lock(known().mutex);
  const auto found = known().guests.find(context);
  return found != known().guests.end() ? found->second.get() : nullptr;
}

Guest *guest_of(llama_memory_t memory) {
  if (Aside::active() || memory == nullptr) return nullptr;
  const std::shared_lock lock(known().mutex);
  const auto found = known().memories.find(memory);
  return found != known().memories.end() ? found->second : nullptr;
}

void add_guest(std::unique_ptr<Guest> guest) {
  const llama_memory_t memory = guest->memory();
  const std::lock_guard lock(known().mutex);
  if (memory != nullptr) known().memories[memory] = guest.get();
  known().guests[guest->context()] = std::move(guest);
}

bool remove_guest(llama_context *context) {
  std::unique_ptr<Guest> guest;
  {
    const std::lock_guard lock(known().mutex);
    const auto found = known().guests.find(context);
    if (found == known().guests.end()) return false;
    guest = std::move(found->second);
    known().guests.erase(found);
    std::erase_if(known().memories, [&](const auto &entry) { return entry.second == guest.get(); });
  }
  return true;
}

// Freeing a context waits for who looks at it.
std::vector<GuestView> guest_views() {
  std::vector<GuestView> views;
  const std::shared_lock lock(known().mutex);
  for (const auto &[context, guest] : known().guests)
    if (guest->n_sequences() > 0) views.push_back(guest->view());
  std::ranges::sort(views, {}, &GuestView::number);
  return views;
}

observe::HeadView look_at_guest(int64_t number, int32_t sequence, int32_t layer, int32_t head) {
  const std::shared_lock lock(known().mutex);
  for (const auto &[context, guest] : known().guests)
    if (guest->n_sequences() > 0 && guest->number() == number)
      return guest->look_at(sequence, layer, head);
  throw Error("the context is gone");
}

void note_weightless(const llama_model *model) {
  const std::lock_guard lock(known().mutex);
  known().weightless.insert(model);
}

bool is_weightless(const llama_model *model) {
  const std::shared_lock lock(known().mutex);
  return known().weightless.contains(model);
}

void forget_model(const llama_model *model) {
  const std::lock_guard lock(known().mutex);
  known().weightless.erase(model);
}

const Settings *settings() {
  static const std::unique_ptr<const Settings> read = []() -> std::unique_ptr<const Settings> {
    const char *text = std::getenv(kVariable);
    if (text == nullptr) return nullptr;
    try {
      auto own = std::make_unique<const Settings>(settings_from(text));
      if (own->libllama != version_of_libllama())
        throw Error("this program runs with llama.cpp " + version_of_libllama() +
                    " (ggml behind the stroke), and this library is for " + own->libllama);
      return own;
    } catch (const Error &error) {
      say(error.what());
      std::exit(2);  // never unbounded in silence
    }
  }();
  return read.get();
}

}  // namespace vase::interpose
