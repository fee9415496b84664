#include "score/cur.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "score/row_blocks.hpp"

namespace vase {
namespace {

/// Two normal numbers from two uniform ones (Box-Muller).
void normal_pair(double u1, double u2, float& a, float& b) {
  const double radius = std::sqrt(-2.0 * std::log(u1)), angle = 2.0 * std::numbers::pi * u2;
  a = static_cast<float>(radius * std::cos(angle));
  b = static_cast<float>(radius * std::sin(angle));
}

/// Fills out[depth][projections]; lanes beyond are zero. All heads of a layer share the projection,
/// as published.
void draw_projection(const vase_layer& layer, const vase_params& params, LaneMatrix out) {
  const PhiloxStream random(params.seed, PhiloxStream::Purpose::kProjection, layer.sequence,
                            params.resample != 0 ? layer.eviction : 0, layer.layer, 0);
  const float norm = 1.0f / std::sqrt(static_cast<float>(params.projections));
  float normals[4] = {};
  uint32_t index = 0;
  for (int32_t d = 0; d < out.depth; ++d) {
    for (int32_t l = 0; l < params.projections; ++l, ++index) {
      if (index % 4 == 0) {
        const PhiloxCounter bits = random.at(index / 4);
        normal_pair(unit_open(bits[0]), unit_open(bits[1]), normals[0], normals[1]);
        normal_pair(unit_open(bits[2]), unit_open(bits[3]), normals[2], normals[3]);
      }
      out.row(d)[l] = normals[index % 4] * norm;
    }
    std::fill(out.row(d) + params.projections, out.row(d) + out.lanes, 0.0f);
  }
}

void copy_projection(const float* gauss, int32_t projections, LaneMatrix out) {
  for (int32_t d = 0; d < out.depth; ++d) {
    std::copy_n(gauss + static_cast<ptrdiff_t>(d) * projections, projections, out.row(d));
    std::fill(out.row(d) + projections, out.row(d) + out.lanes, 0.0f);
  }
}

int32_t projection_depth(const vase_layer& layer) {
  return std::max(layer.keys.dim, layer.values.dim);
}

size_t projection_elements(const vase_params& params, const vase_layer& layer) {
  return static_cast<size_t>(projection_depth(layer)) *
         static_cast<size_t>(pad_to_lanes(params.projections));
}

}  // namespace

size_t cur_leverage_bytes(const vase_params& params, const vase_layer& layer, int32_t n) {
  return Arena::bytes_of<float>(static_cast<size_t>(n)) +
         Arena::bytes_of<float>(projection_elements(params, layer)) +
         row_block_bytes(layer.keys.dim) + row_block_bytes(layer.values.dim);
}

void cur_leverage(const Head& head, const vase_params& params, const Kernels& kernels, Arena& arena,
                  std::span<float> out) {
  const vase_layer& layer = *head.layer;
  LaneMatrix projection{arena.take<float>(projection_elements(params, layer)).data(),
                        projection_depth(layer), pad_to_lanes(params.projections)};
  if (layer.gauss != nullptr)
    copy_projection(layer.gauss, params.projections, projection);
  else
    draw_projection(layer, params, projection);

  const std::span<float> value_energy = arena.take<float>(out.size());
  const auto energies = [&](const vase_rows& rows, float* energy) {
    projection.depth = rows.dim;
    for_row_blocks(head, rows, kernels, arena, [&](int32_t first, DenseRows block) {
      kernels.projected_energy(block, projection, energy + first);
    });
  };
  energies(layer.keys, out.data());
  energies(layer.values, value_energy.data());
  for (size_t i = 0; i < out.size(); ++i) out[i] *= value_energy[i];
}

}  // namespace vase
