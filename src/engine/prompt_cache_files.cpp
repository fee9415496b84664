#include "engine/prompt_cache_files.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <fstream>
#include <initializer_list>
#include <new>
#include <span>
#include <system_error>
#include <type_traits>
#include <utility>

#include "core/checksum.hpp"
#include "engine/unfinished_file.hpp"
#include "vase/llama.hpp"

namespace vase::engine {
namespace {

namespace fs = std::filesystem;

constexpr std::array<char, 8> kMagic = {'v', 'a', 's', 'e', ' ', 'p', 'r', 'm'};
constexpr std::uint32_t kVersion = 2;
constexpr const char *kExtension = ".vase-prompt";

// In front of the body: texts (identity, policy), tokens and snapshot, one behind the other.
struct Header {
  std::array<char, 8> magic = kMagic;
  std::uint32_t version = kVersion;
  std::uint32_t draw_stream = 0;
  std::uint64_t seed = 0;
  std::uint64_t as_read = 0;
  std::int64_t evictions = 0;
  std::uint64_t identity_bytes = 0;
  std::uint64_t policy_bytes = 0;
  std::uint64_t token_bytes = 0;
  std::uint64_t snapshot_bytes = 0;
  std::uint64_t checksum = 0;  // of the header, with 0 for this, and the body
};
static_assert(std::is_trivially_copyable_v<Header> && sizeof(Header) == 80);

std::uint64_t checksum_of_file(Header header, std::span<const std::byte> body) {
  header.checksum = checksum_of(body);
  return checksum_of(std::as_bytes(std::span(&header, 1)));
}

template <typename T>
void append(std::vector<std::byte> &body, const T &values) {
  const auto bytes = std::as_bytes(std::span(values.data(), values.size()));
  body.insert(body.end(), bytes.begin(), bytes.end());
}

std::string policy_and_draws(const ReadingRule &rule) {
  return fmt::format("{} {} {} {}", rule.policy, rule.seed, rule.draw_stream, rule.as_read);
}

// A file's bytes behind its header.
std::vector<std::byte> body_of(const PutAside &one, const std::string &identity) {
  std::vector<std::byte> body;
  body.reserve(identity.size() + one.rule.policy.size() + one.size());
  append(body, identity);
  append(body, one.rule.policy);
  append(body, one.tokens);
  append(body, one.bytes);
  return body;
}

// By what it is, not by its rows: the same for a prompt that is read again.
fs::path name_of(const PutAside &one, const std::string &identity) {
  std::vector<std::byte> bytes;
  append(bytes, identity + '\0' + policy_and_draws(one.rule));
  append(bytes, one.tokens);
  return fmt::format("{:016x}{}", checksum_of(bytes), kExtension);
}

void write_file(const PutAside &one, const std::string &identity, const fs::path &path) {
  const std::vector<std::byte> body = body_of(one, identity);
  Header header{.draw_stream = one.rule.draw_stream,
                .seed = one.rule.seed,
                .as_read = one.rule.as_read ? 1U : 0U,
                .evictions = one.evictions,
                .identity_bytes = identity.size(),
                .policy_bytes = one.rule.policy.size(),
                .token_bytes = one.tokens.size() * sizeof(llama_token),
                .snapshot_bytes = one.bytes.size()};
  header.checksum = checksum_of_file(header, body);
  UnfinishedFile file(path);
  file.append(std::as_bytes(std::span(&header, 1)));
  file.append(body);
  file.finish();
}

// A file that is of use, as its beginning says.
struct Found {
  fs::path path = {};
  fs::file_time_type used = {};  // last
  Header header = {};
};

Found look_at(const fs::path &path, const std::string &identity) {
  Found found{.path = path, .used = fs::last_write_time(path)};
  Header &header = found.header;
  const std::uint64_t size = fs::file_size(path);
  std::ifstream in(path, std::ios::binary);
  if (!in.read(reinterpret_cast<char *>(&header), sizeof(header))) throw Error("is cut off");
  if (header.magic != kMagic) throw Error("is no prompt put aside by vase");
  if (header.version != kVersion) {
    throw Error(fmt::format("is of version {}, and this is {}", header.version, kVersion));
  }
  std::uint64_t rest = size - sizeof(header);
  for (const std::uint64_t part :
       {header.identity_bytes, header.policy_bytes, header.token_bytes, header.snapshot_bytes}) {
    if (part > rest) throw Error("is damaged or cut off");
    rest -= part;
  }
  if (rest != 0) throw Error("is damaged or cut off");
  std::string other(header.identity_bytes, '\0');
  in.read(other.data(), std::ssize(other));
  if (!in || other != identity)
    throw Error("is of another model, or of other adapters or cache types");
  return found;
}

PutAside read_file(const Found &found) {
  const Header &header = found.header;
  const std::uint64_t whole = fs::file_size(found.path);
  if (whole < sizeof(header)) throw Error("is damaged or cut off");
  std::vector<std::byte> body(whole - sizeof(header));
  std::ifstream in(found.path, std::ios::binary);
  in.seekg(sizeof(header));
  in.read(reinterpret_cast<char *>(body.data()), std::ssize(body));
  if (!in) throw Error("cannot be read");
  if (header.checksum != checksum_of_file(header, body)) throw Error("is damaged or cut off");
  auto rest = std::span(body).subspan(header.identity_bytes);
  const auto next = [&](std::uint64_t size) {
    const auto part = rest.first(size);
    rest = rest.subspan(size);
    return part;
  };
  const auto policy = next(header.policy_bytes);
  PutAside one{.rule = {.policy = {reinterpret_cast<const char *>(policy.data()), policy.size()},
                        .seed = header.seed,
                        .draw_stream = header.draw_stream,
                        .as_read = header.as_read != 0},
               .evictions = header.evictions};
  const auto tokens = next(header.token_bytes);
  one.tokens.resize(tokens.size() / sizeof(llama_token));
  std::ranges::copy(tokens.first(one.tokens.size() * sizeof(llama_token)),
                    std::as_writable_bytes(std::span(one.tokens)).begin());
  one.bytes.assign(rest.begin(), rest.end());
  return one;
}

// What is wrong with a file, or the system's word for it.
template <typename Do>
void or_say(const fs::path &path, const SayOfFile &say, const char *consequence, const Do &work) {
  try {
    work();
  } catch (const Error &error) {
    say(fmt::format("{} {}: {}", path.string(), error.what(), consequence));
  } catch (const fs::filesystem_error &error) {
    say(fmt::format("{}: {}: {}", path.string(), error.code().message(), consequence));
  } catch (const std::bad_alloc &) {
    say(fmt::format("{}: no memory is left for it: {}", path.string(), consequence));
  }
}

std::vector<fs::path> files_in(const fs::path &folder,
                               std::initializer_list<const char *> extensions = {kExtension}) {
  std::vector<fs::path> files;
  for (const fs::directory_entry &entry : fs::directory_iterator(folder)) {
    if (std::ranges::find(extensions, entry.path().extension()) != extensions.end())
      files.push_back(entry.path());
  }
  std::ranges::sort(files);
  return files;
}

// A file of the folder, written whole or not, as it counts towards the limit.
struct Stored {
  fs::file_time_type used;
  fs::path path;
  std::uint64_t bytes;
};

// Other processes write and make room meanwhile: a file may go at any time.
std::vector<Stored> stored_in(const fs::path &folder) {
  std::vector<Stored> files;
  for (const fs::path &path : files_in(folder, {kExtension, UnfinishedFile::kExtension})) {
    std::error_code no_size, no_time;
    const std::uint64_t bytes = fs::file_size(path, no_size);
    const fs::file_time_type used = fs::last_write_time(path, no_time);
    if (!no_size && !no_time) files.push_back({used, path, bytes});
  }
  return files;
}

}  // namespace

std::uint64_t prompt_bytes_in(const fs::path &folder) {
  std::uint64_t bytes = 0;
  try {
    for (const Stored &file : stored_in(folder)) bytes += file.bytes;
  } catch (const fs::filesystem_error &) {
    return 0;
  }
  return bytes;
}

PromptCacheFiles::PromptCacheFiles(fs::path folder, std::string identity, std::uint64_t limit_bytes,
                                   SayOfFile say)
    : folder_(std::move(folder)),
      identity_(std::move(identity)),
      limit_(limit_bytes),
      say_(std::move(say)) {
  try {
    fs::create_directories(folder_);
    files_in(folder_);
    remove_abandoned(folder_);
  } catch (const fs::filesystem_error &error) {
    throw Error(fmt::format("--cache-dir {}: {}", folder_.string(), error.code().message()));
  }
  thread_ = std::thread([this] { run(); });
}

PromptCacheFiles::~PromptCacheFiles() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_one();
  thread_.join();
}

void PromptCacheFiles::read_into(PromptCache &cache) {
  std::vector<Found> all;
  for (const fs::path &path : files_in(folder_)) {
    or_say(path, say_, "skipped", [&] { all.push_back(look_at(path, identity_)); });
  }
  std::ranges::sort(all, std::ranges::greater{}, &Found::used);
  std::vector<std::pair<fs::path, PutAside>> read;
  std::uint64_t bytes = 0;
  for (const Found &found : all) {
    const std::uint64_t size = found.header.token_bytes + found.header.snapshot_bytes;
    if (bytes + size > cache.limit()) continue;
    or_say(found.path, say_, "skipped", [&] {
      read.emplace_back(found.path, read_file(found));
      bytes += size;
    });
  }
  for (auto one = read.rbegin(); one != read.rend(); ++one) {
    cache.put(std::move(one->second));
    written_[one->first] = cache.all().front();
  }
}

void PromptCacheFiles::keep(const PromptCache &cache) {
  {
    const std::lock_guard lock(mutex_);
    wanted_.assign(cache.all().begin(), cache.all().end());
    pending_ = true;
  }
  changed_.notify_one();
}

void PromptCacheFiles::run() {
  for (;;) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return pending_ || stopping_; });
    if (!pending_) return;
    pending_ = false;
    const Held held = std::move(wanted_);
    lock.unlock();
    or_say(folder_, say_, "prompts are not kept", [&] { write(held); });
  }
}

void PromptCacheFiles::write(const Held &held) {
  decltype(written_) written;
  fs::file_time_type used = fs::file_time_type::clock::now();
  for (const auto &weak : held) {
    const std::shared_ptr<const PutAside> one = weak.lock();
    if (one == nullptr) continue;
    const fs::path path = folder_ / name_of(*one, identity_);
    or_say(path, say_, "it is not kept", [&] {
      // What was written once is not written again where the folder had no room for it.
      if (const auto old = written_.find(path); old == written_.end() || old->second.lock() != one)
        write_file(*one, identity_, path);
      written[path] = one;
      std::error_code gone;
      fs::last_write_time(path, used, gone);
    });
    used -= std::chrono::milliseconds(1);  // the order in which they were asked for
  }
  written_ = std::move(written);
  make_room();
}

void PromptCacheFiles::make_room() const {
  std::vector<Stored> files = stored_in(folder_);
  std::ranges::sort(files, std::ranges::greater{}, &Stored::used);
  std::uint64_t bytes = 0;
  for (const Stored &file : files) {
    bytes += file.bytes;
    std::error_code gone;
    if (bytes > limit_) fs::remove(file.path, gone);
  }
}

}  // namespace vase::engine
