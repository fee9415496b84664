/* vase.cpp on a CUDA device: the evictions of vase.h for cache rows in device memory.
 *
 * One call evicts many items, an item being one layer of one sequence, in one set of launches on
 * the caller's stream. Nothing is copied back to the host and the host waits for nothing. The same
 * seed keeps the same rows as vase.h does, up to near-ties of f32 rounding (docs/algorithm.md).
 *
 *     vase_cuda_limits limits = {sizeof limits, 36, 1, 8, 32, 4160, 64, 128, 128};
 *     vase_cuda *cuda;
 *     if (vase_cuda_create(&limits, &cuda) != VASE_OK) puts(vase_last_error());
 *     vase_cuda_evict(cuda, &params, items, 36, 0, NULL, stream);
 */
#ifndef VASE_CUDA_H
#define VASE_CUDA_H

#include "vase/vase.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Working memory on one device. Calls with the same handle must be ordered: one stream, or one
 * thread at a time and streams that wait for each other. */
typedef struct vase_cuda vase_cuda;

/** Elements of a key's or a value's row, at most. */
#define VASE_CUDA_MOST_DIM 576

/** The largest call a handle serves. The device memory taken grows with items * heads * rows. */
typedef struct vase_cuda_limits {
  size_t size VASE_SIZE_OF(vase_cuda_limits); /* sizeof(vase_cuda_limits) */
  /* Items worked on at once. A call may have more: they take turns on the stream. The layers of one
     sequence keep a GPU busy. */
  int32_t items;
  int32_t sequences; /* different `cells` arrays among the items of a turn */
  int32_t n_heads;   /* of an item */
  int32_t n_query_heads;
  int32_t n_rows;
  int32_t n_queries;  /* 0 is enough for policies without queries */
  int32_t keys_dim;   /* at most VASE_CUDA_MOST_DIM */
  int32_t values_dim; /* likewise */
} vase_cuda_limits;

/** 1 if the CUDA kernels know `policy` (all policies of this library's registry; 0 for NULL). */
VASE_API int32_t vase_cuda_supports(const vase_policy *policy);

/** Takes device memory on the current CUDA device, where all later calls run. *cuda is NULL and the
 * answer VASE_DEVICE_FAILED if there is none or not enough. */
VASE_API vase_status vase_cuda_create(const vase_cuda_limits *limits, vase_cuda **cuda);
/** Waits for the device to be done with the memory and gives it back. NULL is fine. */
VASE_API void vase_cuda_destroy(vase_cuda *cuda);
/** Bytes of device memory that the handle holds. They do not change. */
VASE_API size_t vase_cuda_bytes(const vase_cuda *cuda);
/** What vase_cuda_create(limits) would take, without a device. 0 if `limits` is invalid. */
VASE_API size_t vase_cuda_bytes_needed(const vase_cuda_limits *limits);

/** One layer of one sequence on the device. All items of a call have the same n_heads,
 *  n_query_heads, n_queries, dims, row types and rotations, rope.pairs and rope.stride, and all or
 *  none have rope.frequencies; all else may differ. */
typedef struct vase_cuda_item {
  size_t size VASE_SIZE_OF(vase_cuda_item); /* sizeof(vase_cuda_item), the same in all of a call */

  /* As in vase.h, except: keys.data, values.data, rope.frequencies, queries, calibration and gauss
     are device pointers; cells is a host pointer, read before the call returns (items of one
     sequence share the array); positions and sums must be NULL, the fields below take their place.
   */
  vase_layer layer;

  /* Bytes from query head to query head and from token to token of layer.queries, multiples of 4.
     Both 0: dense, as vase.h has them. With a llama.cpp tensor Q [D, n_tokens, Hq, n_stream] of
     which the last n_queries tokens score: queries = data + (n_tokens - n_queries) * nb1 + s * nb3,
     query_head_stride = nb2, query_token_stride = nb1. */
  int64_t query_head_stride;
  int64_t query_token_stride;

  /* On the device, by CELL, so that nothing shifts when rows leave: positions[h * position_stride +
     c] is the token position of the row that head h holds in cell c. Read by the selection, updated
     by the moves. NULL: row i stands for token i. */
  int32_t *positions;
  int64_t position_stride; /* elements from head to head: the cells there are */

  /* On the device, by cell as positions: what a policy with vase_policy_sums_up() has found of each
     row so far. Selections and evictions add what they find; new rows (n_new) start with 0; moves
     take them along whatever the policy. NULL: nothing was found so far, and nothing is kept. */
  float *sums;

  /* The last n_new rows (in the order of `cells`) are new: they stand for the tokens new_position,
     new_position + 1, ... in all heads. Written to `positions` before anything else, so the caller
     never has to. All other positions must be below new_position, if n_new > 0. */
  int32_t n_new;
  int32_t new_position;
} vase_cuda_item;

/** Evicts: vase_cuda_select and vase_cuda_compact in one. Each head keeps min(n_rows, budget) rows;
 * rows [vacate_first, vacate_first + n_rows - budget) of every item with n_rows > budget become
 * free; items with fewer rows are left alone (their new positions are written). moved: device
 * memory [n_items][n_heads], the rows each head moved; or NULL. stream: a cudaStream_t, NULL for
 * the default stream. */
VASE_API vase_status vase_cuda_evict(vase_cuda *cuda, const vase_params *params,
                                     const vase_cuda_item *items, int32_t n_items,
                                     int32_t vacate_first, int32_t *moved, void *stream);

/** Whether vase_cuda_evict would take these arguments: what it would refuse, this does, and nothing
 * is launched. Needs the handle, not the device. */
VASE_API vase_status vase_cuda_check(const vase_cuda *cuda, const vase_params *params,
                                     const vase_cuda_item *items, int32_t n_items,
                                     int32_t vacate_first);

/** vase_select on the device. keep: device memory [n_items][n_heads][limits.n_rows] bytes, of which
 * the first n_rows of each head are set. */
VASE_API vase_status vase_cuda_select(vase_cuda *cuda, const vase_params *params,
                                      const vase_cuda_item *items, int32_t n_items, uint8_t *keep,
                                      void *stream);

/** vase_scores on the device. scores: device memory [n_items][n_heads][limits.n_rows] floats. */
VASE_API vase_status vase_cuda_scores(vase_cuda *cuda, const vase_params *params,
                                      const vase_cuda_item *items, int32_t n_items, float *scores,
                                      void *stream);

/** vase_compact on the device, with masks as vase_cuda_select writes them. The masks cannot be
 * counted without waiting for the device, so the caller says how many rows each head of item i
 * gives up: freed[i], host memory. A head whose mask gives up another number is left alone, and its
 * `moved` is -1. */
VASE_API vase_status vase_cuda_compact(vase_cuda *cuda, const vase_cuda_item *items,
                                       int32_t n_items, const uint8_t *keep, const int32_t *freed,
                                       int32_t vacate_first, int32_t *moved, void *stream);

#ifdef __cplusplus
}
#endif

#endif
