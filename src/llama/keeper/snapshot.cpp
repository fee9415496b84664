#include "llama/keeper/snapshot.hpp"

#include <algorithm>
#include <cstring>
#include <numeric>
#include <string>
#include <string_view>
#include <type_traits>

#include "core/checksum.hpp"
#include "vase/llama.hpp"

namespace vase {
namespace {

constexpr char kMagic[8] = {'v', 'a', 's', 'e', ' ', 's', 'e', 'q'};
constexpr uint32_t kVersion = 2;
// Written into the cells before llama.cpp reads a state, so that those it wrote to are known: as a
// number of any type it is tiny, so what stays of it in free cells does no harm behind the mask.
constexpr std::byte kUntouched{1};

struct Header {
  char magic[8];
  uint32_t version;
  uint32_t reserved;
  uint64_t record_bytes;  // the keeper's part, behind the header
  uint64_t state_bytes;   // llama.cpp's, behind that
  uint64_t checksum;      // of both
};
static_assert(std::is_trivially_copyable_v<Header> && sizeof(Header) == 40);

class Writer {
 public:
  template <typename T>
  void add(const T &value) {
    static_assert(std::is_trivially_copyable_v<T>);
    const auto *first = reinterpret_cast<const std::byte *>(&value);
    bytes_.insert(bytes_.end(), first, first + sizeof(T));
  }
  template <typename T>
  void add(const std::vector<T> &values) {
    add(static_cast<uint64_t>(values.size()));
    const auto *first = reinterpret_cast<const std::byte *>(values.data());
    bytes_.insert(bytes_.end(), first, first + values.size() * sizeof(T));
  }
  const std::vector<std::byte> &bytes() const { return bytes_; }

 private:
  std::vector<std::byte> bytes_;
};

class Reader {
 public:
  explicit Reader(std::span<const std::byte> bytes) : left_(bytes) {}
  template <typename T>
  void read(T &value) {
    static_assert(std::is_trivially_copyable_v<T>);
    std::memcpy(&value, next(sizeof(T)).data(), sizeof(T));
  }
  template <typename T>
  void read(std::vector<T> &values) {
    uint64_t count = 0;
    read(count);
    if (count > left_.size() / sizeof(T)) throw Error("a saved sequence is cut off");
    values.resize(count);
    if (count > 0) std::memcpy(values.data(), next(count * sizeof(T)).data(), count * sizeof(T));
  }

 private:
  std::span<const std::byte> next(size_t count) {
    if (count > left_.size()) throw Error("a saved sequence is cut off");
    const auto taken = left_.first(count);
    left_ = left_.subspan(count);
    return taken;
  }
  std::span<const std::byte> left_;
};

// What the keeper knows, and by what rows are known again.
struct Part {
  Keeper::Record record;
  std::vector<uint64_t> row_hashes;  // of the first bounded layer's keys, in label order
};

template <typename Archive, typename P>
void each_field(Archive &&archive, P &part) {
  auto &ledger = part.record.ledger;
  archive(ledger.rows.tokens);
  archive(ledger.rows.first_own);
  archive(ledger.rows.n_survivors);
  archive(ledger.rows.cells);
  archive(ledger.rows.survivors);
  archive(ledger.rows.sums);
  archive(ledger.prompts.first_end);
  archive(ledger.prompts.newest_begin);
  archive(ledger.prompts.newest_end);
  archive(ledger.evictions);
  archive(ledger.rows_moved);
  archive(part.record.queries);
  archive(part.row_hashes);
}

// The keys of all heads of one cell, in a copy of a stream.
std::span<const std::byte> cell_of(const CacheRows &rows, const std::vector<std::byte> &stream,
                                   int32_t cell) {
  const auto bytes = static_cast<size_t>(rows.rows.row_stride);
  return std::span(stream).subspan(static_cast<size_t>(cell) * bytes, bytes);
}

std::vector<std::byte> pack(const Keeper &keeper, int32_t sequence) {
  Part part{keeper.save(sequence), {}};
  if (!keeper.layers().empty()) {
    const CacheRows &keys = keeper.layers().front().keys;
    std::vector<std::byte> stream;
    keys.read_stream(sequence, stream);
    for (const int32_t cell : part.record.ledger.rows.cells)
      part.row_hashes.push_back(checksum_of(cell_of(keys, stream, cell)));
  }
  Writer writer;
  each_field([&](const auto &field) { writer.add(field); }, part);
  return writer.bytes();
}

// The bytes of one part and of the other, checked.
struct Opened {
  std::span<const std::byte> record, state;
};

Header header_of(std::span<const std::byte> bytes) {
  Header header{};
  if (bytes.size() >= sizeof(header)) std::memcpy(&header, bytes.data(), sizeof(header));
  if (std::memcmp(header.magic, kMagic, sizeof(kMagic)) != 0)
    throw Error("these bytes are not a saved sequence of vase");
  if (header.version != kVersion)
    throw Error("a saved sequence is of version " + std::to_string(header.version) +
                ", and this is version " + std::to_string(kVersion) + "; save it anew");
  return header;
}

Opened open(std::span<const std::byte> bytes) {
  const Header header = header_of(bytes);
  const auto body = bytes.subspan(sizeof(header));
  if (header.record_bytes > body.size() || header.state_bytes != body.size() - header.record_bytes)
    throw Error("a saved sequence is cut off: it has " + std::to_string(body.size()) +
                " bytes where it says " + std::to_string(header.record_bytes + header.state_bytes));
  if (checksum_of(body) != header.checksum)
    throw Error("a saved sequence is damaged: its checksum is wrong");
  return {body.first(header.record_bytes), body.subspan(header.record_bytes)};
}

// llama.cpp restores rows in the order of their old cells into free cells, one after the other from
// wherever it stands, the first cell following the last. Which ones those were: all that are not as
// they were left. Where among them it began: where each row's key is the one that was saved.
std::vector<int32_t> find_cells(const CacheRows &keys, int32_t sequence, const Part &part) {
  const std::vector<int32_t> &old_cells = part.record.ledger.rows.cells;
  const size_t n = old_cells.size();
  if (n == 0) return {};
  std::vector<std::byte> stream;
  keys.read_stream(sequence, stream);
  std::vector<int32_t> written;
  std::vector<uint64_t> hashes;
  const auto n_cells =
      static_cast<int32_t>(stream.size() / static_cast<size_t>(keys.rows.row_stride));
  for (int32_t cell = 0; cell < n_cells; ++cell) {
    const auto row = cell_of(keys, stream, cell);
    if (std::ranges::all_of(row, [](std::byte byte) { return byte == kUntouched; })) continue;
    written.push_back(cell);
    hashes.push_back(checksum_of(row));
  }
  std::vector<size_t> by_old_cell(n);  // rows, in the order in which they were restored
  std::iota(by_old_cell.begin(), by_old_cell.end(), size_t{0});
  std::ranges::sort(by_old_cell, {}, [&](size_t row) { return old_cells[row]; });
  for (size_t start = 0; written.size() == n && start < n; ++start) {
    const auto place = [&](size_t rank) { return (start + rank) % n; };
    size_t rank = 0;
    while (rank < n && part.row_hashes[by_old_cell[rank]] == hashes[place(rank)]) ++rank;
    if (rank < n) continue;
    std::vector<int32_t> cells(n);
    for (rank = 0; rank < n; ++rank) cells[by_old_cell[rank]] = written[place(rank)];
    return cells;
  }
  throw Error("llama.cpp restored " + std::to_string(written.size()) + " rows of " +
              std::to_string(n) + ", or others than were saved");
}

// Rows of a cache that is evicted from are named by their hashes; those of another are none.
void check_kind(const Part &part, bool evicts) {
  const size_t rows = part.record.ledger.rows.cells.size(), hashes = part.row_hashes.size();
  if (rows == hashes ? evicts || rows == 0 : hashes == 0 && !evicts) return;
  if (rows == hashes || hashes == 0)
    throw Error(std::string("a saved sequence is of a context that ") +
                (evicts ? "does not evict, and this one does" : "evicts, and this one does not"));
  throw Error("a saved sequence contradicts itself: " + std::to_string(hashes) + " rows, " +
              std::to_string(rows) + " cells");
}

}  // namespace

size_t snapshot_bytes(std::span<const std::byte> bytes) {
  const Header header = header_of(bytes);
  const size_t body = bytes.size() - sizeof(header);
  if (header.record_bytes > body || header.state_bytes > body - header.record_bytes)
    throw Error("a saved sequence is cut off: " + std::to_string(body) + " bytes are there of " +
                std::to_string(header.record_bytes + header.state_bytes));
  return sizeof(header) + header.record_bytes + header.state_bytes;
}

size_t snapshot_size(llama_context *context, const Keeper &keeper, int32_t sequence) {
  return sizeof(Header) + pack(keeper, sequence).size() +
         llama_state_seq_get_size(context, sequence);
}

void take_snapshot(llama_context *context, const Keeper &keeper, int32_t sequence,
                   std::span<std::byte> bytes) {
  const std::vector<std::byte> record = pack(keeper, sequence);
  if (bytes.size() < sizeof(Header) + record.size())
    throw Error("a snapshot needs more than the " + std::to_string(bytes.size()) +
                " bytes that it was given");
  const auto body = bytes.subspan(sizeof(Header));
  std::ranges::copy(record, body.begin());
  const auto state = body.subspan(record.size());
  const size_t written = llama_state_seq_get_data(
      context, reinterpret_cast<uint8_t *>(state.data()), state.size(), sequence);
  if (written != state.size())
    throw Error("llama.cpp gave " + std::to_string(written) + " bytes of the state of sequence " +
                std::to_string(sequence) + " where it had said " + std::to_string(state.size()));
  Header header{};
  std::memcpy(header.magic, kMagic, sizeof(kMagic));
  header.version = kVersion;
  header.record_bytes = record.size();
  header.state_bytes = state.size();
  header.checksum = checksum_of(body);
  std::memcpy(bytes.data(), &header, sizeof(header));
}

void restore_snapshot(llama_context *context, Keeper &keeper, int32_t sequence,
                      std::span<const std::byte> bytes) {
  const Opened opened = open(bytes);
  Part part;
  Reader reader(opened.record);
  each_field([&](auto &field) { reader.read(field); }, part);
  const bool evicts = !keeper.layers().empty();
  check_kind(part, evicts);
  keeper.check_fits(part.record);

  keeper.clear(sequence);
  if (evicts) {
    const CacheRows &keys = keeper.layers().front().keys;
    keys.write_stream(sequence, std::vector<std::byte>(keys.stream_bytes(), kUntouched));
  }
  try {
    if (llama_state_seq_set_data(context, reinterpret_cast<const uint8_t *>(opened.state.data()),
                                 opened.state.size(), sequence) != opened.state.size())
      throw Error("llama.cpp cannot restore a saved sequence of " +
                  std::to_string(part.record.ledger.rows.cells.size()) +
                  " rows; it is of another model or cache type, or has more rows than cells");
    // Where nothing is evicted nobody asks for the cells.
    if (evicts)
      part.record.ledger.rows.cells = find_cells(keeper.layers().front().keys, sequence, part);
    keeper.restore(sequence, std::move(part.record));
  } catch (const Error &) {
    keeper.clear(sequence);
    throw;
  }
}

}  // namespace vase
