#include "parity/npz.hpp"

#include <zip.h>

#include <cstring>
#include <memory>
#include <regex>
#include <stdexcept>

namespace vase::testing {
namespace {

template <typename T>
void convert(const std::string& bytes, size_t first, std::vector<float>& out) {
  for (size_t at = first; at + sizeof(T) <= bytes.size(); at += sizeof(T)) {
    T value;
    std::memcpy(&value, &bytes[at], sizeof value);
    out.push_back(static_cast<float>(value));
  }
}

/// The .npy format (NEP 1): magic, version, header length, a Python dict as text, the elements.
Array parse_npy(const std::string& bytes) {
  if (bytes.size() < 10 || bytes.compare(0, 6, "\x93NUMPY") != 0)
    throw std::runtime_error("not a .npy array");
  const size_t length = static_cast<uint8_t>(bytes[8]) + 256u * static_cast<uint8_t>(bytes[9]);
  const std::string header = bytes.substr(10, length);
  std::smatch match;
  if (!std::regex_search(header, match,
                         std::regex("'descr': '[<|]([a-z][0-9])'.*'shape': \\(([^)]*)\\)")))
    throw std::runtime_error("unknown .npy header: " + header);
  Array array;
  const std::string type = match[1], shape = match[2];
  const std::regex number("[0-9]+");
  for (std::sregex_iterator it(shape.begin(), shape.end(), number), end; it != end; ++it)
    array.shape.push_back(std::stoll(it->str()));
  const size_t first = 10 + length;
  if (type == "f4")
    convert<float>(bytes, first, array.data);
  else if (type == "f8")
    convert<double>(bytes, first, array.data);
  else if (type == "i8")
    convert<int64_t>(bytes, first, array.data);
  else if (type == "b1")
    convert<uint8_t>(bytes, first, array.data);
  else
    throw std::runtime_error("unknown .npy type " + type);
  return array;
}

}  // namespace

std::map<std::string, Array> read_npz(const std::string& path) {
  int error = 0;
  const std::unique_ptr<zip_t, decltype(&zip_discard)> archive(
      zip_open(path.c_str(), ZIP_RDONLY, &error), &zip_discard);
  if (archive == nullptr) throw std::runtime_error("cannot open " + path);
  std::map<std::string, Array> arrays;
  for (zip_int64_t i = 0; i < zip_get_num_entries(archive.get(), 0); ++i) {
    zip_stat_t stat;
    zip_stat_index(archive.get(), static_cast<zip_uint64_t>(i), 0, &stat);
    std::string bytes(stat.size, '\0');
    const std::unique_ptr<zip_file_t, decltype(&zip_fclose)> file(
        zip_fopen_index(archive.get(), static_cast<zip_uint64_t>(i), 0), &zip_fclose);
    if (file == nullptr ||
        zip_fread(file.get(), bytes.data(), bytes.size()) != static_cast<zip_int64_t>(bytes.size()))
      throw std::runtime_error("cannot read " + path);
    std::string name = stat.name;
    arrays[name.substr(0, name.rfind(".npy"))] = parse_npy(bytes);
  }
  return arrays;
}

}  // namespace vase::testing
