#include "score/trigonometric.hpp"

#include <algorithm>
#include <array>
#include <cmath>

#include "core/pair_layout.hpp"
#include "core/rope_rule.hpp"
#include "core/rows.hpp"
#include "core/trigonometric_rule.hpp"
#include "score/row_blocks.hpp"
#include "score/sine.hpp"
#include "score/spoilt_rows.hpp"

namespace vase {
namespace {

/// What a query head was measured to ask for: vase_layer.calibration.
struct Usual {
  const float *real, *imaginary, *lengths;  ///< [pairs]

  Usual(const Head& head, int32_t g, int32_t pairs)
      : real(head.layer->calibration +
             3 * static_cast<ptrdiff_t>(head.index * head.group() + g) * pairs),
        imaginary(real + pairs),
        lengths(imaginary + pairs) {}
};

/// mean_o e^(i w (t + o)) of each pair.
void mean_turns(const vase_rope& rope, const PairLayout& layout, int32_t t,
                std::span<SineCosine> out) {
  for (int32_t pair = 0; pair < layout.pairs; ++pair) {
    SineCosine& mean = out[static_cast<size_t>(pair)];
    mean = {0, 1};
    if (pair >= layout.turned) continue;
    const uint32_t step = rope_step(rope.frequencies[pair]);
    mean.cosine = 0;
    for (int o = 0; o < kOffsets; ++o) {
      const auto [sine, cosine] = sine_cosine(rope_turns(step, t + (1 << o)));
      mean.sine += sine / kOffsets;
      mean.cosine += cosine / kOffsets;
    }
  }
}

/// The vector whose product with a stored key is the first sum, and the one whose product with the
/// lengths of the key's pairs is the second. Zeros beyond their ends.
void find_vectors(const Usual& usual, const PairLayout& layout, std::span<const SineCosine> turns,
                  std::span<float> of_keys, std::span<float> of_lengths) {
  std::fill(of_keys.begin(), of_keys.end(), 0.0f);
  std::fill(of_lengths.begin(), of_lengths.end(), 0.0f);
  for (int32_t pair = 0; pair < layout.pairs; ++pair) {
    const auto p = static_cast<size_t>(pair);
    const float real = usual.real[pair], imaginary = usual.imaginary[pair];
    const auto [sine, cosine] = turns[p];
    of_keys[static_cast<size_t>(layout.first(pair))] = real * cosine - imaginary * sine;
    of_keys[static_cast<size_t>(layout.second(pair))] = real * sine + imaginary * cosine;
    of_lengths[p] = usual.lengths[pair] - std::sqrt(real * real + imaginary * imaginary);
  }
}

/// lengths.row(i)[p] = the length of pair p of row i, zeros behind the last.
void pair_lengths(DenseRows block, const PairLayout& layout, const Kernels& kernels,
                  DenseRows lengths) {
  for (int32_t i = 0; i < block.count; ++i)
    std::fill(lengths.row(i) + layout.pairs, lengths.row(i) + lengths.stride, 0.0f);
  if (layout.apart > 0) kernels.pair_lengths(block, layout.apart, layout.stride, lengths);
  const int32_t neighbours = layout.pairs - layout.apart;
  if (neighbours > 0)
    kernels.pair_lengths({block.data + layout.neighbours_from, block.count, block.stride},
                         neighbours, 1,
                         {lengths.data + layout.apart, lengths.count, lengths.stride});
}

/// x becomes its standard scores, among what is finite.
void standardise(std::span<float> x) {
  double sum = 0, squares = 0, count = 0;
  for (float& v : x) {
    if (!std::isfinite(v)) v = kSpoilt;
    if (std::isnan(v)) continue;
    sum += static_cast<double>(v);
    ++count;
  }
  const double mean = sum / std::max(count, 1.0);
  for (const float v : x) {
    const double apart = static_cast<double>(v) - mean;
    if (!std::isnan(v)) squares += apart * apart;
  }
  const double deviation =
      std::max(std::sqrt(squares / std::max(count, 1.0)), static_cast<double>(kLeastDeviation));
  for (float& v : x) v = static_cast<float>((static_cast<double>(v) - mean) / deviation);
}

/// The position of the token that comes next.
int32_t coming_position(const Head& head) {
  return (head.recent_positions.empty() ? head.positions : head.recent_positions).back() + 1;
}

}  // namespace

size_t trigonometric_bytes(const vase_layer& layer, int32_t n) {
  const auto group = static_cast<size_t>(layer.n_query_heads / layer.n_heads);
  const auto pairs = static_cast<size_t>(layer.keys.dim / 2);
  return Arena::bytes_of<SineCosine>(pairs) +
         Arena::bytes_of<float>(group * static_cast<size_t>(pad_to_lanes(layer.keys.dim))) +
         Arena::bytes_of<float>(group * static_cast<size_t>(pad_to_lanes(layer.keys.dim / 2))) +
         Arena::bytes_of<float>(group * static_cast<size_t>(n)) + row_block_bytes(layer.keys.dim) +
         row_block_bytes(layer.keys.dim / 2) + Arena::bytes_of<float>(kRowBlock);
}

void trigonometric(const Head& head, const Kernels& kernels, Arena arena, std::span<float> out) {
  if (out.empty()) return;
  const vase_rows& keys = head.layer->keys;
  const auto group = static_cast<size_t>(head.group());
  const size_t n = out.size();
  const PairLayout layout = pair_layout(head.layer->rope, keys.dim);
  const std::span<SineCosine> turns = arena.take<SineCosine>(static_cast<size_t>(layout.pairs));
  mean_turns(head.layer->rope, layout, coming_position(head), turns);

  const auto of_key = static_cast<size_t>(pad_to_lanes(keys.dim));
  const auto of_length = static_cast<size_t>(pad_to_lanes(layout.pairs));
  const std::span<float> key_vectors = arena.take<float>(group * of_key);
  const std::span<float> length_vectors = arena.take<float>(group * of_length);
  for (size_t g = 0; g < group; ++g)
    find_vectors(Usual(head, static_cast<int32_t>(g), layout.pairs), layout, turns,
                 key_vectors.subspan(g * of_key, of_key),
                 length_vectors.subspan(g * of_length, of_length));

  const std::span<float> scores = arena.take<float>(group * n);
  const std::span<float> second = arena.take<float>(kRowBlock);
  float* lengths_data = arena.take<float>(kRowBlock * of_length).data();
  for_row_blocks(head, keys, kernels, arena, [&](int32_t first, DenseRows block) {
    if (keys.rotation != 0)
      for (int32_t i = 0; i < block.count; ++i) rotate_row(block.row(i), keys.dim, keys.rotation);
    std::array<bool, kRowBlock> spoilt{};
    replace_spoilt(block, kernels, 0.0f, [&](int32_t i) { spoilt[static_cast<size_t>(i)] = true; });
    const DenseRows lengths{lengths_data, block.count, static_cast<int32_t>(of_length)};
    pair_lengths(block, layout, kernels, lengths);
    for (size_t g = 0; g < group; ++g) {
      float* own = scores.data() + g * n + static_cast<size_t>(first);
      kernels.dots(block, key_vectors.data() + g * of_key, 0, own);
      kernels.dots(lengths, length_vectors.data() + g * of_length, 0, second.data());
      for (int32_t i = 0; i < block.count; ++i) {
        const auto row = static_cast<size_t>(i);
        own[i] = spoilt[row] ? kSpoilt : own[i] + second[row];
      }
    }
  });

  for (size_t g = 0; g < group; ++g) {
    const std::span<float> own = scores.subspan(g * n, n);
    standardise(own);
    for (size_t i = 0; i < n; ++i) out[i] = g == 0 ? own[i] : std::max(out[i], own[i]);
  }
}

}  // namespace vase
