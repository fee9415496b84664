// What is read off graphs as llama.cpp builds them, without any model.
#include "llama/graph/rotations.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <memory>
#include <vector>

#include "llama/keeper/warnings.hpp"

namespace vase {
namespace {

constexpr int64_t kDim = 64, kHeads = 3, kTokens = 5;

class RotationsTest : public testing::Test {
 protected:
  ggml_tensor *heads(int64_t dim = kDim) {
    return ggml_new_tensor_3d(context_.get(), GGML_TYPE_F32, dim, kHeads, kTokens);
  }
  ggml_tensor *rope(ggml_tensor *x, int mode = GGML_ROPE_TYPE_NEOX) {
    ggml_tensor *positions = ggml_new_tensor_1d(context_.get(), GGML_TYPE_I32, kTokens);
    return ggml_rope_ext(context_.get(), x, positions, nullptr, static_cast<int>(x->ne[0]), mode, 0,
                         1e4f, 1, 0, 1, 0, 0);
  }
  /// Rows as they are written: the heads of a token one after the other.
  ggml_tensor *written(ggml_tensor *x) {
    return ggml_reshape_2d(context_.get(), x, x->ne[0] * x->ne[1], kTokens);
  }
  /// As a quantised cache has its rows: blocks of 64 elements times a matrix.
  ggml_tensor *multiplied(ggml_tensor *x, const char *name) {
    ggml_tensor *matrix = ggml_new_tensor_2d(context_.get(), GGML_TYPE_F32, kDim, kDim);
    ggml_set_name(matrix, name);
    return ggml_mul_mat(context_.get(), matrix, x);
  }

  std::unique_ptr<ggml_context, decltype(&ggml_free)> context_{
      ggml_init({.mem_size = size_t{1} << 20, .mem_buffer = nullptr, .no_alloc = true}), ggml_free};
};

TEST_F(RotationsTest, FrequenciesAreThoseOfTheRopeNode) {
  for (const auto &[mode, stride] :
       {std::pair{GGML_ROPE_TYPE_NEOX, 32}, {GGML_ROPE_TYPE_NORMAL, 1}}) {
    const Rope found = rope_of(written(rope(heads(), mode)));
    EXPECT_FALSE(found.unknown);
    EXPECT_EQ(found.stride, stride);
    ASSERT_EQ(found.frequencies.size(), 32u);
    for (size_t i = 0; i < 32; ++i)
      EXPECT_NEAR(found.frequencies[i], std::pow(1e4, -static_cast<double>(i) / 32), 1e-6);
  }
}

// On a GPU the scheduler puts a copy of the matrix in its place, which is no input by its flags.
TEST_F(RotationsTest, AreFoundBehindTheHadamardMatrixOfAQuantisedCache) {
  const ggml_tensor *rows = written(multiplied(rope(heads()), "CUDA0#attn_inp_k_rot#0"));
  EXPECT_EQ(hadamard_block_of(rows), kDim);
  EXPECT_EQ(rope_of(rows).frequencies.size(), 32u);

  ggml_tensor *marked = multiplied(rope(heads()), "matrix");
  ggml_set_input(marked->src[0]);
  EXPECT_EQ(hadamard_block_of(written(marked)), kDim);

  EXPECT_EQ(hadamard_block_of(written(multiplied(heads(), "blk.0.attn_v.weight"))), 0);
  EXPECT_EQ(hadamard_block_of(written(rope(heads()))), 0);
}

TEST_F(RotationsTest, AreNothingWhereKeysAreNotRotated) {
  const Rope found = rope_of(written(heads()));
  EXPECT_TRUE(found.frequencies.empty());
  EXPECT_FALSE(found.unknown);
}

TEST_F(RotationsTest, OfOtherKindsAreUnknown) {
  ggml_tensor *vision = rope(heads());
  vision->op_params[2] = GGML_ROPE_TYPE_VISION;
  // Halves that lie apart, behind other elements; and two rotations in one row.
  ggml_tensor *joined = ggml_concat(context_.get(), heads(), rope(heads(16)), 0);
  ggml_tensor *both = ggml_concat(context_.get(), rope(heads(16)), rope(heads(16)), 0);
  for (ggml_tensor *keys : {vision, joined, both}) {
    const Rope found = rope_of(written(keys));
    EXPECT_TRUE(found.frequencies.empty());
    EXPECT_TRUE(found.unknown);
  }
}

// Multi-head latent attention: neighbours are pairs, behind elements that do not turn. One rotated
// part may serve all heads.
TEST_F(RotationsTest, AreFoundInJoinedRows) {
  ggml_tensor *turned = rope(heads(16), GGML_ROPE_TYPE_NORMAL);
  const Rope behind = rope_of(written(ggml_concat(context_.get(), heads(), turned, 0)));
  EXPECT_FALSE(behind.unknown);
  EXPECT_EQ(behind.stride, 1);
  ASSERT_EQ(behind.frequencies.size(), 32u + 8u);
  EXPECT_EQ(behind.frequencies[31], 0);
  EXPECT_EQ(behind.frequencies[32], 1);
  EXPECT_NEAR(behind.frequencies[33], std::pow(1e4, -1.0 / 8), 1e-6);

  ggml_tensor *one = ggml_new_tensor_3d(context_.get(), GGML_TYPE_F32, 16, 1, kTokens);
  ggml_tensor *shared = ggml_repeat(context_.get(), rope(one), heads(16));
  const Rope before = rope_of(written(ggml_concat(context_.get(), shared, heads(), 0)));
  EXPECT_FALSE(before.unknown);
  EXPECT_EQ(before.stride, 8);
  EXPECT_EQ(before.frequencies.size(), 8u);

  EXPECT_FALSE(rope_of(written(ggml_concat(context_.get(), heads(), heads(), 0))).unknown);
}

// A text's coordinates are its positions; the extra one is 0, so its pairs stay as they are.
TEST_F(RotationsTest, OfSeveralCoordinatesAreThoseOfText) {
  const auto found = [&](int mode, std::array<int, 4> sections) {
    ggml_tensor *positions = ggml_new_tensor_1d(context_.get(), GGML_TYPE_I32, 4 * kTokens);
    return rope_of(written(ggml_rope_multi(context_.get(), heads(), positions, nullptr, kDim,
                                           sections.data(), mode, 0, 1e4f, 1, 0, 1, 0, 0)))
        .frequencies;
  };
  const std::vector<float> all = rope_of(written(rope(heads()))).frequencies;
  EXPECT_EQ(found(GGML_ROPE_TYPE_MROPE, {8, 12, 12, 0}), all);
  std::vector<float> expected = all;
  std::fill(expected.begin() + 24, expected.end(), 0.0f);
  EXPECT_EQ(found(GGML_ROPE_TYPE_MROPE, {8, 8, 8, 8}), expected);
  // Interleaved: pairs 2, 5, 8 ... belong to the width, whose eight pairs end before pair 24.
  expected = all;
  for (const size_t pair : {26u, 29u}) expected[pair] = 0;
  EXPECT_EQ(found(GGML_ROPE_TYPE_IMROPE, {12, 12, 8, 0}), expected);
}

TEST(MissesRopeTest, IsTrueOfVasePlusWhereALayersRotationIsUnknown) {
  const vase_params plus = vase_params_default(vase_policy_find("vase-plus"), 512),
                    vase = vase_params_default(vase_policy_find("vase"), 512);
  std::vector<CacheLayer> layers(3);
  EXPECT_FALSE(misses_rope(plus, layers));
  layers[1].rope.unknown = true;
  EXPECT_TRUE(misses_rope(plus, layers));
  EXPECT_FALSE(misses_rope(vase, layers));
}

}  // namespace
}  // namespace vase
