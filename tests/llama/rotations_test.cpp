// What is read off graphs as llama.cpp builds them, without any model.
#include "llama/graph/rotations.hpp"

#include <gtest/gtest.h>

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
  ggml_tensor *joined = ggml_concat(context_.get(), heads(), rope(heads(16)), 0);
  for (ggml_tensor *keys : {vision, joined}) {
    const Rope found = rope_of(written(keys));
    EXPECT_TRUE(found.frequencies.empty());
    EXPECT_TRUE(found.unknown);
  }
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
