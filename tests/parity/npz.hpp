// Reads the arrays of a NumPy .npz file.
#ifndef VASE_TESTS_PARITY_NPZ_HPP
#define VASE_TESTS_PARITY_NPZ_HPP

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace vase::testing {

/// An array in C order, its elements converted to f32 (bool: 0 and 1).
struct Array {
  std::vector<int64_t> shape;
  std::vector<float> data;
};

/// All arrays by name. Throws std::runtime_error if the file cannot be read.
std::map<std::string, Array> read_npz(const std::string& path);

}  // namespace vase::testing

#endif
