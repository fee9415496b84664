// The steps of an eviction, each a launch or a few on the stream. Errors show in cudaGetLastError.
#ifndef VASE_CUDA_LAUNCH_HPP
#define VASE_CUDA_LAUNCH_HPP

#include <cuda_runtime_api.h>

#include <cstdint>
#include <span>

#include "cuda/device_call.hpp"

namespace vase::cuda {

// upload.cu: host data travels as kernel arguments, so that nobody waits for a copy to be over.
void upload_items(std::span<const DeviceItem> items, DeviceItem* to, cudaStream_t stream);
void upload_cells(std::span<const int32_t> cells, int32_t* to, cudaStream_t stream);

// order.cu: writes the positions of new rows; rows in the order of tokens. Of `scratch`, tokens and
// order change places with their second buffers as the sort leaves them.
void order_rows(const DeviceCall& call, Scratch& scratch, cudaStream_t stream);
/// Bytes of scratch.sort_space that order_rows wants for so many units and rows.
size_t sort_space_wanted(int32_t units, int32_t row_capacity);

// vectors.cu: queries or projections, split for the tensor cores.
void pack_queries(const DeviceCall& call, const Scratch& scratch, cudaStream_t stream);
/// As products with rows of type `rows` want them.
void pack_projections(const DeviceCall& call, vase_type rows, const Scratch& scratch,
                      cudaStream_t stream);

// logsumexp.cu: the softmax's maximum and sum of each query over the candidates.
void log_sum_exp(const DeviceCall& call, const Scratch& scratch, cudaStream_t stream);
/// Parts that the keys are split into for it.
int32_t key_splits(int32_t n_rows);

// row_sums.cu: scratch.first = attention of each row; scratch.first, .second = its energies.
void attention_sums(const DeviceCall& call, const Scratch& scratch, cudaStream_t stream);
void projected_energies(const DeviceCall& call, const Scratch& scratch, cudaStream_t stream);

// attention_so_far.cu: scratch.first, attention of each row, becomes the sum of it so far.
void add_to_sums(const DeviceCall& call, const Scratch& scratch, cudaStream_t stream);

// trigonometric.cu: scratch.first = how much the head's usual queries would attend to each row.
void usual_attention(const DeviceCall& call, const Scratch& scratch, cudaStream_t stream);

// value_range.cu: scratch.second = value ranges.
void value_ranges(const DeviceCall& call, const Scratch& scratch, cudaStream_t stream);

// redundancy.cu: scratch.second = mean cosine similarity to the other candidates.
void similarities(const DeviceCall& call, const Scratch& scratch, cudaStream_t stream);
/// scratch.second = minus the cosine to the mean of all unit keys.
void key_differences(const DeviceCall& call, const Scratch& scratch, cudaStream_t stream);
/// Parts that the rows are split into for these, and for the mean of values.
int32_t row_splits(int32_t n_rows);

// centre.cu: scratch.centres = means of some candidates' keys before RoPE.
void rough_centres(const DeviceCall& call, const Scratch& scratch, cudaStream_t stream);

// distance.cu: scratch.second = distance of each value from the candidates' mean.
void value_distances(const DeviceCall& call, const Scratch& scratch, cudaStream_t stream);

// novelty.cu: scratch.first = softened squared distance of each candidate's key before RoPE to the
// newer ones.
void novelties(const DeviceCall& call, const Scratch& scratch, cudaStream_t stream);

// choose.cu: keep [units][row_capacity] or scores, the other is null.
void choose_rows(const DeviceCall& call, const Scratch& scratch, uint8_t* keep, float* scores,
                 cudaStream_t stream);

// moves.cu: pairs kept rows of the block with holes, then copies rows and positions.
void plan_moves(const DeviceCall& call, const Scratch& scratch, const uint8_t* keep,
                int32_t vacate_first, int32_t* moved, cudaStream_t stream);
void move_rows(const DeviceCall& call, const Scratch& scratch, cudaStream_t stream);

}  // namespace vase::cuda

#endif
