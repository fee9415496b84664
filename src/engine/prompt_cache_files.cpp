#include "engine/prompt_cache_files.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <fstream>
#include <set>
#include <type_traits>
#include <utility>

#include "core/checksum.hpp"
#include "vase/llama.hpp"

namespace vase::engine {
namespace {

namespace fs = std::filesystem;

constexpr std::array<char, 8> kMagic = {'v', 'a', 's', 'e', ' ', 'p', 'r', 'm'};
constexpr std::uint32_t kVersion = 1;
constexpr const char *kExtension = ".vase-prompt";

// In front of the body: texts (identity, policy), tokens and snapshot, one behind the other.
struct Header {
  std::array<char, 8> magic = kMagic;
  std::uint32_t version = kVersion;
  std::uint32_t draw_stream = 0;
  std::uint64_t seed = 0;
  std::uint64_t as_read = 0;
  std::int64_t evictions = 0;
  std::uint64_t order = 0;  // 0: what was asked for last
  std::uint64_t identity_bytes = 0;
  std::uint64_t policy_bytes = 0;
  std::uint64_t token_bytes = 0;
  std::uint64_t snapshot_bytes = 0;
  std::uint64_t checksum = 0;  // of the header, with 0 for this, and the body
};
static_assert(std::is_trivially_copyable_v<Header> && sizeof(Header) == 88);

std::uint64_t checksum_of_file(Header header, std::span<const std::byte> body) {
  header.checksum = checksum_of(body);
  return checksum_of(std::as_bytes(std::span(&header, 1)));
}

template <typename T>
void append(std::vector<std::byte> &body, const T &values) {
  const auto bytes = std::as_bytes(std::span(values.data(), values.size()));
  body.insert(body.end(), bytes.begin(), bytes.end());
}

struct File {
  Header header = {};
  std::vector<std::byte> body = {};
};

File file_of(const PutAside &one, std::uint64_t order, const std::string &identity) {
  File file{.header = {.draw_stream = one.rule.draw_stream,
                       .seed = one.rule.seed,
                       .as_read = one.rule.as_read ? 1U : 0U,
                       .evictions = one.evictions,
                       .order = order,
                       .identity_bytes = identity.size(),
                       .policy_bytes = one.rule.policy.size(),
                       .token_bytes = one.tokens.size() * sizeof(llama_token),
                       .snapshot_bytes = one.bytes.size()}};
  file.body.reserve(identity.size() + one.rule.policy.size() + one.size());
  append(file.body, identity);
  append(file.body, one.rule.policy);
  append(file.body, one.tokens);
  append(file.body, one.bytes);
  file.header.checksum = checksum_of_file(file.header, file.body);
  return file;
}

// First beside it: a file is whole, or not there.
void write(const File &file, const fs::path &path) {
  fs::path beside = path;
  beside += ".part";
  {
    std::ofstream out(beside, std::ios::binary);
    out.write(reinterpret_cast<const char *>(&file.header), sizeof(Header));
    out.write(reinterpret_cast<const char *>(file.body.data()), std::ssize(file.body));
    if (!out.flush()) throw Error("cannot be written");
  }
  fs::rename(beside, path);
}

std::vector<std::byte> contents(const fs::path &path) {
  std::vector<std::byte> bytes(fs::file_size(path));
  std::ifstream in(path, std::ios::binary);
  in.read(reinterpret_cast<char *>(bytes.data()), std::ssize(bytes));
  if (!in) throw Error("cannot be read");
  return bytes;
}

struct Read {
  std::uint64_t order = 0;
  PutAside one = {};
};

Read read(const fs::path &path, const std::string &identity) {
  const std::vector<std::byte> bytes = contents(path);
  Header header;
  if (bytes.size() < sizeof(header)) throw Error("is cut off");
  std::memcpy(&header, bytes.data(), sizeof(header));
  if (header.magic != kMagic) throw Error("is no prompt put aside by vase");
  if (header.version != kVersion) {
    throw Error(fmt::format("is of version {}, and this is {}", header.version, kVersion));
  }
  auto rest = std::span(bytes).subspan(sizeof(header));
  if (header.checksum != checksum_of_file(header, rest)) throw Error("is damaged or cut off");
  const auto next = [&](std::uint64_t size) {
    if (size > rest.size()) throw Error("contradicts itself");
    const auto part = rest.first(size);
    rest = rest.subspan(size);
    return part;
  };
  const auto text = [&](std::uint64_t size) {
    const auto part = next(size);
    return std::string(reinterpret_cast<const char *>(part.data()), part.size());
  };
  if (text(header.identity_bytes) != identity) {
    throw Error("is of another model, or of other adapters or cache types");
  }
  Read result{.order = header.order,
              .one = {.rule = {.policy = text(header.policy_bytes),
                               .seed = header.seed,
                               .draw_stream = header.draw_stream,
                               .as_read = header.as_read != 0},
                      .evictions = header.evictions}};
  const auto tokens = next(header.token_bytes);
  result.one.tokens.resize(tokens.size() / sizeof(llama_token));
  std::memcpy(result.one.tokens.data(), tokens.data(),
              result.one.tokens.size() * sizeof(llama_token));
  const auto snapshot = next(header.snapshot_bytes);
  result.one.bytes.assign(snapshot.begin(), snapshot.end());
  return result;
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
  }
}

std::vector<fs::path> files_in(const fs::path &folder) {
  std::vector<fs::path> files;
  for (const fs::directory_entry &entry : fs::directory_iterator(folder)) {
    if (entry.path().extension() == kExtension) files.push_back(entry.path());
  }
  std::ranges::sort(files);
  return files;
}

}  // namespace

void write_prompt_cache(const PromptCache &cache, const fs::path &folder,
                        const std::string &identity, const SayOfFile &say) {
  or_say(folder, say, "prompts are not kept", [&] {
    std::set<fs::path> kept;
    std::uint64_t order = 0;
    for (const PutAside &one : cache.all()) {
      const File file = file_of(one, order++, identity);
      const fs::path path = folder / (fmt::format("{:016x}", checksum_of(file.body)) + kExtension);
      or_say(path, say, "it is not kept", [&] { write(file, path); });
      kept.insert(path);
    }
    for (const fs::path &path : files_in(folder)) {
      if (kept.contains(path)) continue;
      // Not those of other models, which share the folder.
      try {
        read(path, identity);
      } catch (const Error &) {
        continue;
      }
      fs::remove(path);
    }
  });
}

void read_prompt_cache(PromptCache &cache, const fs::path &folder, const std::string &identity,
                       const SayOfFile &say) {
  std::vector<fs::path> files;
  try {
    fs::create_directories(folder);
    files = files_in(folder);
  } catch (const fs::filesystem_error &error) {
    throw Error(fmt::format("--cache-dir {}: {}", folder.string(), error.code().message()));
  }
  std::vector<Read> all;
  for (const fs::path &path : files) {
    or_say(path, say, "skipped", [&] { all.push_back(read(path, identity)); });
  }
  std::ranges::sort(all, std::ranges::greater{}, &Read::order);
  for (Read &one : all) cache.put(std::move(one.one));
}

}  // namespace vase::engine
