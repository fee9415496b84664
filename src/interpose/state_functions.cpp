// The functions of libllama that put sequences aside and take them back. Of a bounded context the
// state is always whole, whatever part of it was asked for: a part could not be put back.
#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <span>
#include <string>
#include <vector>

#include "engine/unfinished_file.hpp"
#include "interpose/guests.hpp"
#include "interpose/real.hpp"
#include "interpose/report.hpp"
#include "vase/llama.hpp"

namespace vase::interpose {
namespace {

std::span<std::byte> as_bytes(uint8_t *data, size_t size) {
  return {reinterpret_cast<std::byte *>(data), size};
}
std::span<const std::byte> as_bytes(const uint8_t *data, size_t size) {
  return {reinterpret_cast<const std::byte *>(data), size};
}

// All sequences: of each its length, then its state.
size_t state_of_all_size(const Guest &guest) {
  size_t size = 0;
  for (int32_t sequence = 0; sequence < guest.n_sequences(); ++sequence)
    size += sizeof(uint64_t) + guest.state_size(sequence);
  return size;
}

// One sequence put aside, or taken back: counted if it was.
size_t get_one(const Guest &guest, int32_t sequence, std::span<std::byte> bytes) {
  const size_t size = guest.state_get(sequence, bytes);
  if (size > 0) ++counts().snapshots;
  return size;
}

size_t set_one(Guest &guest, int32_t sequence, std::span<const std::byte> bytes) {
  const size_t size = guest.state_set(sequence, bytes);
  if (size > 0) ++counts().restored;
  return size;
}

size_t get_all(const Guest &guest, std::span<std::byte> bytes) {
  size_t at = 0;
  for (int32_t sequence = 0; sequence < guest.n_sequences(); ++sequence) {
    if (bytes.size() < at + sizeof(uint64_t)) return 0;
    const size_t size = guest.state_get(sequence, bytes.subspan(at + sizeof(uint64_t)));
    if (size == 0) return 0;
    const uint64_t written = size;
    std::memcpy(bytes.data() + at, &written, sizeof(written));
    at += sizeof(written) + size;
  }
  counts().snapshots += guest.n_sequences();
  return at;
}

// Bytes read; 0 if a sequence was refused, and the others may have been taken back then.
size_t try_set_all(Guest &guest, std::span<const std::byte> bytes) {
  size_t at = 0;
  for (int32_t sequence = 0; sequence < guest.n_sequences(); ++sequence) {
    uint64_t size = 0;
    if (bytes.size() < at + sizeof(size)) return 0;
    std::memcpy(&size, bytes.data() + at, sizeof(size));
    at += sizeof(size);
    if (size > bytes.size() - at || guest.state_set(sequence, bytes.subspan(at, size)) != size)
      return 0;
    at += size;
  }
  return at;
}

// A refused state leaves an empty context, as one does that libllama cannot read to its end:
// llama-cpp-python's load_state() takes the state's tokens for read before it asks, and went on
// from whatever the sequence held.
size_t set_all(Guest &guest, std::span<const std::byte> bytes) {
  const size_t size = try_set_all(guest, bytes);
  if (size > 0) {
    counts().restored += guest.n_sequences();
    return size;
  }
  guest.refuse();
  say("a state was not taken back, and the context is empty now");
  return 0;
}

// A file: the tokens, then a state.
constexpr char kMagic[8] = {'v', 'a', 's', 'e', ' ', 't', 'o', 'k'};

// Bytes written; 0 if it failed, and a line is said then. What a killed process left there goes.
size_t write_file(const char *path, const llama_token *tokens, size_t n_tokens,
                  const std::vector<std::byte> &state) {
  try {
    engine::remove_abandoned(std::filesystem::absolute(path).parent_path());
    engine::UnfinishedFile file(path);
    const uint64_t count = n_tokens;
    file.append(std::as_bytes(std::span(kMagic)));
    file.append(std::as_bytes(std::span(&count, 1)));
    file.append(std::as_bytes(std::span(tokens, n_tokens)));
    file.append(state);
    file.finish();
    return sizeof(kMagic) + sizeof(count) + n_tokens * sizeof(llama_token) + state.size();
  } catch (const std::filesystem::filesystem_error &error) {
    say("cannot write " + std::string(path) + ": " + error.code().message());
    return 0;
  }
}

struct StateFile {
  size_t size = 0;  // of the file; 0 if it is none
  std::vector<llama_token> tokens;
  std::vector<std::byte> state;
};

StateFile read_file(const char *path) {
  std::ifstream file(path, std::ios::binary);
  const std::vector<char> all((std::istreambuf_iterator<char>(file)), {});
  StateFile read;
  const auto refuse = [&](const char *why) {
    say("cannot take " + std::string(path) + " back: " + why);
    return StateFile();
  };
  constexpr size_t kHead = sizeof(kMagic) + sizeof(uint64_t);
  if (!file.good() && !file.eof()) return refuse("it cannot be read");
  if (all.size() < kHead || std::memcmp(all.data(), kMagic, sizeof(kMagic)) != 0)
    return refuse("it was not saved under vase exec");
  uint64_t count = 0;
  std::memcpy(&count, all.data() + sizeof(kMagic), sizeof(count));
  if (count > (all.size() - kHead) / sizeof(llama_token)) return refuse("it is cut off");
  read.tokens.resize(count);
  std::memcpy(read.tokens.data(), all.data() + kHead, count * sizeof(llama_token));
  const auto rest = as_bytes(reinterpret_cast<const uint8_t *>(all.data()), all.size())
                        .subspan(kHead + count * sizeof(llama_token));
  read.state.assign(rest.begin(), rest.end());
  read.size = all.size();
  return read;
}

// False, and a line is said, if a file has more tokens than are wanted.
bool fits(const StateFile &file, size_t capacity) {
  if (file.tokens.size() <= capacity) return true;
  say("a saved state has " + std::to_string(file.tokens.size()) + " tokens, more than the " +
      std::to_string(capacity) + " that fit");
  return false;
}

// Of a file that was taken back: what is refused leaves the program's tokens and their number be.
void hand_out(const StateFile &file, llama_token *tokens, size_t *count) {
  if (tokens != nullptr) std::ranges::copy(file.tokens, tokens);
  if (count != nullptr) *count = file.tokens.size();
}

}  // namespace
}  // namespace vase::interpose

using namespace vase::interpose;

VASE_IN_FRONT size_t llama_state_seq_get_size_ext(llama_context *context, llama_seq_id sequence,
                                                  llama_state_seq_flags flags) {
  if (const Guest *guest = guest_of(context); guest != nullptr) return guest->state_size(sequence);
  return VASE_REAL(llama_state_seq_get_size_ext)(context, sequence, flags);
}

VASE_IN_FRONT size_t llama_state_seq_get_data_ext(llama_context *context, uint8_t *data,
                                                  size_t size, llama_seq_id sequence,
                                                  llama_state_seq_flags flags) {
  if (const Guest *guest = guest_of(context); guest != nullptr)
    return get_one(*guest, sequence, as_bytes(data, size));
  return VASE_REAL(llama_state_seq_get_data_ext)(context, data, size, sequence, flags);
}

VASE_IN_FRONT size_t llama_state_seq_set_data_ext(llama_context *context, const uint8_t *data,
                                                  size_t size, llama_seq_id sequence,
                                                  llama_state_seq_flags flags) {
  if (Guest *guest = guest_of(context); guest != nullptr)
    return set_one(*guest, sequence, as_bytes(data, size));
  return VASE_REAL(llama_state_seq_set_data_ext)(context, data, size, sequence, flags);
}

VASE_IN_FRONT size_t llama_state_seq_get_size(llama_context *context, llama_seq_id sequence) {
  if (const Guest *guest = guest_of(context); guest != nullptr) return guest->state_size(sequence);
  return VASE_REAL(llama_state_seq_get_size)(context, sequence);
}

VASE_IN_FRONT size_t llama_state_seq_get_data(llama_context *context, uint8_t *data, size_t size,
                                              llama_seq_id sequence) {
  if (const Guest *guest = guest_of(context); guest != nullptr)
    return get_one(*guest, sequence, as_bytes(data, size));
  return VASE_REAL(llama_state_seq_get_data)(context, data, size, sequence);
}

VASE_IN_FRONT size_t llama_state_seq_set_data(llama_context *context, const uint8_t *data,
                                              size_t size, llama_seq_id sequence) {
  if (Guest *guest = guest_of(context); guest != nullptr)
    return set_one(*guest, sequence, as_bytes(data, size));
  return VASE_REAL(llama_state_seq_set_data)(context, data, size, sequence);
}

VASE_IN_FRONT size_t llama_state_seq_save_file(llama_context *context, const char *path,
                                               llama_seq_id sequence, const llama_token *tokens,
                                               size_t n_tokens) {
  const Guest *guest = guest_of(context);
  if (guest == nullptr)
    return VASE_REAL(llama_state_seq_save_file)(context, path, sequence, tokens, n_tokens);
  std::vector<std::byte> state(guest->state_size(sequence));
  return get_one(*guest, sequence, state) == 0 ? 0 : write_file(path, tokens, n_tokens, state);
}

VASE_IN_FRONT size_t llama_state_seq_load_file(llama_context *context, const char *path,
                                               llama_seq_id sequence, llama_token *tokens,
                                               size_t capacity, size_t *n_tokens) {
  Guest *guest = guest_of(context);
  if (guest == nullptr)
    return VASE_REAL(llama_state_seq_load_file)(context, path, sequence, tokens, capacity,
                                                n_tokens);
  const StateFile file = read_file(path);
  if (file.size == 0) return 0;
  if (tokens != nullptr) {  // else only their number was asked for
    if (!fits(file, capacity) || set_one(*guest, sequence, file.state) == 0) return 0;
  }
  hand_out(file, tokens, n_tokens);
  return file.size;
}

VASE_IN_FRONT size_t llama_state_get_size(llama_context *context) {
  if (const Guest *guest = guest_of(context); guest != nullptr) return state_of_all_size(*guest);
  return VASE_REAL(llama_state_get_size)(context);
}

VASE_IN_FRONT size_t llama_state_get_data(llama_context *context, uint8_t *data, size_t size) {
  if (const Guest *guest = guest_of(context); guest != nullptr)
    return get_all(*guest, as_bytes(data, size));
  return VASE_REAL(llama_state_get_data)(context, data, size);
}

VASE_IN_FRONT size_t llama_state_set_data(llama_context *context, const uint8_t *data,
                                          size_t size) {
  if (Guest *guest = guest_of(context); guest != nullptr)
    return set_all(*guest, as_bytes(data, size));
  return VASE_REAL(llama_state_set_data)(context, data, size);
}

VASE_IN_FRONT bool llama_state_save_file(llama_context *context, const char *path,
                                         const llama_token *tokens, size_t n_tokens) {
  const Guest *guest = guest_of(context);
  if (guest == nullptr) return VASE_REAL(llama_state_save_file)(context, path, tokens, n_tokens);
  std::vector<std::byte> state(state_of_all_size(*guest));
  return get_all(*guest, state) != 0 && write_file(path, tokens, n_tokens, state) != 0;
}

VASE_IN_FRONT bool llama_state_load_file(llama_context *context, const char *path,
                                         llama_token *tokens, size_t capacity, size_t *n_tokens) {
  Guest *guest = guest_of(context);
  if (guest == nullptr)
    return VASE_REAL(llama_state_load_file)(context, path, tokens, capacity, n_tokens);
  const StateFile file = read_file(path);
  if (file.size == 0 || !fits(file, capacity) || set_all(*guest, file.state) == 0) return false;
  hand_out(file, tokens, n_tokens);
  return true;
}
