/* vase.cpp: KV cache eviction on memory you own. The C interface of libvase.
 *
 * One call works on one layer of one sequence. A layer holds, for each of its KV heads, the same
 * number of rows (a key and a value each); every head keeps its own choice of them. The library
 * never allocates here and keeps no state: the caller owns the rows, the masks and the workspace.
 * All functions may be called from several threads at once on different heads; the result does not
 * depend on how heads are spread over threads.
 *
 *     vase_params params = vase_params_default(vase_policy_default(), 4096);
 *     if (vase_select(&params, &layer, 0, layer.n_heads, keep, workspace, size) != VASE_OK) {
 *       puts(vase_last_error());
 *     }
 *     vase_compact(&layer, keep, 0, 0, layer.n_heads, positions);
 */
#ifndef VASE_VASE_H
#define VASE_VASE_H

#include <stddef.h>
#include <stdint.h>

#if defined(_WIN32)
#define VASE_API
#else
#define VASE_API __attribute__((visibility("default")))
#endif

#ifdef __cplusplus
extern "C" {
#endif

typedef enum vase_status {
  VASE_OK = 0,
  VASE_INVALID_ARGUMENT = 1, /* a null pointer, a size out of range, a shape that does not fit */
  VASE_QUERIES_MISSING = 2,  /* the policy scores by attention and the layer carries no queries */
  VASE_WORKSPACE_TOO_SMALL = 3,
  VASE_MASK_UNEVEN = 4,        /* vase_compact: the heads do not all keep the same number of rows */
  VASE_DEVICE_FAILED = 5,      /* vase/cuda.h: a CUDA call failed, or there is no device */
  VASE_CALIBRATION_MISSING = 6 /* the policy reads what was measured of queries before, and the
                                  layer carries none */
} vase_status;

/** What went wrong in this thread's last failed call, in one line. Valid until the next failing
 * call of the thread. */
VASE_API const char *vase_last_error(void);

/** Library version, "major.minor.patch". */
VASE_API const char *vase_version(void);

/* ---- structs that grow -----------------------------------------------------------------------
 *
 * vase_params, vase_layer and those of vase/cuda.h begin with `size`: sizeof of the struct that the
 * caller was compiled with. New fields come at the end, so a program and a library of different
 * versions understand each other: fields that the caller's struct lacks have their defaults, and
 * one that this library does not know must be 0, or the call is refused. In C++ `size` is set by
 * itself; in C write {.size = sizeof(vase_layer), ...}. vase_rows and vase_rope are parts of them
 * and stay as they are. */
#ifdef __cplusplus
#define VASE_SIZE_OF(type) = sizeof(type)
#else
#define VASE_SIZE_OF(type)
#endif

/* ---- policies ------------------------------------------------------------------------------ */

/** An eviction policy. Owned by the library, lives for ever. What is asked of NULL, which is what
 * vase_policy_find says of a name that it does not know, is answered by "" or 0, and
 * vase_last_error says why. */
typedef struct vase_policy vase_policy;

VASE_API int32_t vase_policy_count(void);
/** The policy at `index` in 0 .. vase_policy_count() - 1, in the order of the documentation: VaSE
 * as published comes first. NULL outside. */
VASE_API const vase_policy *vase_policy_at(int32_t index);
/** The policy called `name` ("vase", "snapkv", ...); NULL if there is none. */
VASE_API const vase_policy *vase_policy_find(const char *name);
/** The policy to take where nobody says which: vase-plus, which kept reasoning intact best of all
 * when they were compared (docs/results.md). It needs no queries. */
VASE_API const vase_policy *vase_policy_default(void);
VASE_API const char *vase_policy_name(const vase_policy *policy);
/** One line for a table: what the policy keeps. */
VASE_API const char *vase_policy_summary(const vase_policy *policy);
/** 1 if the policy scores rows by the attention of the newest queries, so that `vase_layer.queries`
 * must be set. */
VASE_API int32_t vase_policy_needs_queries(const vase_policy *policy);
/** 0 for the policy that keeps everything. */
VASE_API int32_t vase_policy_evicts(const vase_policy *policy);
/** Share of the budget up to which the prompt is pinned where nobody says otherwise: 0.5 for
 * vase-plus, 0 for the published policies. Here it is for information: what is pinned is said by
 * vase_layer.pinned_begin, pinned_end and pinned_first. */
VASE_API float vase_policy_default_pin(const vase_policy *policy);
/** The policy that keeps everything. */
VASE_API const vase_policy *vase_policy_full(void);
/** 1 if the policy compares keys as they were before RoPE, for which it reads `vase_layer.rope`. */
VASE_API int32_t vase_policy_uses_rope(const vase_policy *policy);
/** 1 if the policy protects the rows of the widest value ranges from its choice: as many as
 * vase_protected() says. */
VASE_API int32_t vase_policy_protects_widest(const vase_policy *policy);
/** 1 if the policy adds up what it finds of each row from eviction to eviction, in
 * `vase_layer.sums`. */
VASE_API int32_t vase_policy_sums_up(const vase_policy *policy);
/** 1 if the policy reads what was measured of the model's queries before, so that
 * `vase_layer.calibration` must be set. */
VASE_API int32_t vase_policy_needs_calibration(const vase_policy *policy);
/** 1 if the policy is there to show what a part of another one is worth. */
VASE_API int32_t vase_policy_is_ablation(const vase_policy *policy);
/** 1 if the policy looks at the field of vase_params called `parameter` ("lambda", "protect", ...),
 * or at the pin for "pin_prompt". 0 for names that there are none of, and if an argument is NULL.
 */
VASE_API int32_t vase_policy_looks_at(const vase_policy *policy, const char *parameter);

/** For vase_params.protect: P is found for each layer and head from the value ranges of the
 * candidates, between budget / 32 and 7/8 of the budget (docs/algorithm.md). */
#define VASE_PROTECT_AUTO (-1)

/** Parameters of an eviction. Row counts are per KV head. */
typedef struct vase_params {
  size_t size VASE_SIZE_OF(vase_params); /* sizeof(vase_params) */
  const vase_policy *policy;
  int32_t budget;   /* B: rows that remain after an eviction */
  int32_t recency;  /* newest rows, always kept (published: 64) */
  int32_t interval; /* an eviction is due at budget + interval rows (published: 64) */
  int32_t window;   /* newest queries that score the rows (published: 64) */
  int32_t sinks;    /* first tokens of the sequence, always kept (published: 4) */
  int32_t protect;  /* P: rows protected by value range, sinks included (published: budget / 4), or
                       VASE_PROTECT_AUTO */
  int32_t pooling;  /* width of the average pooling of attention weights, odd (published: 5) */
  int32_t projections; /* columns of the Gaussian projection of CUR (published: 20) */
  int32_t resample;    /* CUR: 1 draws a new projection at each eviction, 0 keeps the first */
  float temperature;   /* T: divides the attention logits (published: 1) */
  float lambda;        /* R-KV: attention against redundancy (published: 0.5) */
  uint64_t seed;       /* with (sequence, eviction, layer, head, position) decides every draw */
} vase_params;

/** Fills `params`, of `size` bytes, with the parameters as published (for vase-plus: as evaluated),
 * those that are counts of rows scaled to `budget`. policy: may be null, to be set later. */
VASE_API vase_status vase_params_init(vase_params *params, size_t size, const vase_policy *policy,
                                      int32_t budget);

/** The same as a value. */
static inline vase_params vase_params_default(const vase_policy *policy, int32_t budget) {
  vase_params params;
  vase_params_init(&params, sizeof(vase_params), policy, budget);
  return params;
}

/** Checks `params` alone, without a layer: ranges, and that the budget holds sinks and recency
 * window. */
VASE_API vase_status vase_params_check(const vase_params *params);

/* ---- rows ---------------------------------------------------------------------------------- */

typedef enum vase_type {
  VASE_F32 = 0,
  VASE_F16 = 1,
  VASE_BF16 = 2,
  VASE_Q8_0 = 3, /* blocks of 32 elements: an f16 scale d, then 32 int8 q; values d q */
  VASE_Q4_0 = 4 /* blocks of 32 elements: an f16 scale d, then 16 bytes of nibbles q, the first half
                   of the block in the low ones; values d (q - 8) */
} vase_type;

/** Strided rows: the row of cell `c` and head `h` starts c * row_stride + h * head_stride bytes
 *  behind `data`. */
typedef struct vase_rows {
  void *data;
  /* Blocks lie as ggml has them, without gaps. */
  vase_type type;
  /* Elements of a row; a multiple of 32 for types in blocks. */
  int32_t dim;
  /* Bytes from cell to cell and from head to head. */
  int64_t row_stride;
  int64_t head_stride;
  /* Rows are stored multiplied by an orthonormal Walsh-Hadamard matrix over blocks of this many
     elements, as llama.cpp does for quantised caches. 0: they are not. */
  int32_t rotation;
} vase_rows;

/** How keys were rotated for their positions (RoPE, arXiv 2104.09864): pair i of the row that
 * stands for token p was turned by the angle p * frequencies[i]. Policies with
 * vase_policy_uses_rope() compare keys as they were before. */
typedef struct vase_rope {
  const float *frequencies; /* [pairs] radians a token. NULL: not rotated, or nobody knows how */
  int32_t pairs;            /* elements behind the last pair were not rotated */
  int32_t stride; /* pair i is elements (2 i, 2 i + 1) if this is 1, else (i, i + stride) */
} vase_rope;

/** One layer of one sequence. What is behind n_rows may be 0.
 *
 * A row that holds a NaN or an infinity is spoilt. Where a policy scores rows by keys, or values,
 * spoilt ones are given up first, and no other row's score depends on them. (The protection of wide
 * values looks at values alone, and what is drawn by lot at neither.) Sinks, pinned rows and the
 * recency window stay whatever they hold. A query that is not finite attends to all rows alike. */
typedef struct vase_layer {
  size_t size VASE_SIZE_OF(vase_layer); /* sizeof(vase_layer) */
  vase_rows keys;                       /* post-RoPE */
  vase_rows values;
  vase_rope rope;  /* of the keys */
  int32_t n_heads; /* KV heads */
  int32_t n_rows;  /* rows each head holds */

  /* [n_rows]: the cell of row i, the same for all heads. NULL: cell i. */
  const int32_t *cells;
  /* [n_heads][n_rows]: the token position that row i of a head stands for. NULL: position i. */
  const int32_t *positions;

  /* [n_query_heads][n_queries][keys.dim], post-RoPE, in any order. NULL: none.
   * vase-plus@2 asks each eighth: places 7, 15, ... of 64. */
  const float *queries;
  /* A multiple of n_heads: query head j belongs to KV head j / (n_query_heads / n_heads). */
  int32_t n_query_heads;
  int32_t n_queries;
  /* Scale of the attention logits. 0: 1 / sqrt(keys.dim). */
  float scale;

  /* Rows of token positions [pinned_begin, pinned_end) are always kept: the prompt. */
  int32_t pinned_begin;
  int32_t pinned_end;

  /* CUR: [max(keys.dim, values.dim)][projections] to use instead of drawing one. NULL: draw. */
  const float *gauss;

  /* These three name the draw: which sequence, how many evictions it has had, which layer. */
  uint32_t sequence;
  uint32_t eviction;
  uint32_t layer;

  /* [n_heads][n_rows]: what a policy with vase_policy_sums_up() has found of each row so far, 0 for
     a new one. vase_select adds what it finds, vase_scores only looks, vase_compact moves them with
     the rows. NULL: nothing was found so far, and nothing is kept. Others do not look at it. */
  float *sums;

  /* [n_query_heads][3][keys.dim / 2], measured over a text by `vase calibrate`: of the queries of a
     head before RoPE, in pairs as RoPE turns keys (rope), the mean of the first elements of each
     pair, that of the second ones, and the mean length of the pair. Pairs of elements that are not
     turned follow: as far apart as the others while there are elements for it, then neighbours.
     NULL: nothing was measured. For policies with vase_policy_needs_calibration(). */
  const float *calibration;

  /* Rows of token positions below this are always kept as well: the first prompt of a conversation
     whose newest one is [pinned_begin, pinned_end). */
  int32_t pinned_first;
} vase_layer;

/** Bytes that vase_select and vase_scores need for one call on any range of heads of `layer`. 0 if
 * an argument is invalid (see vase_last_error). */
VASE_API size_t vase_workspace_size(const vase_params *params, const vase_layer *layer);

/** Chooses the rows that heads [head_first, head_first + head_count) keep.
 *
 *  keep: [n_heads][n_rows] bytes; those of the chosen heads are set to 1 (stays) or 0 (may go).
 * Each head keeps exactly min(n_rows, budget) rows: the newest `recency` ones by token position,
 * sinks, pinned rows (as many as the budget holds, oldest first), and what the policy chooses among
 * the others. workspace: at least vase_workspace_size() bytes, any alignment, not shared between
 * threads. */
VASE_API vase_status vase_select(const vase_params *params, const vase_layer *layer,
                                 int32_t head_first, int32_t head_count, uint8_t *keep,
                                 void *workspace, size_t workspace_size);

/** The scores from which the policy chooses, before any draw: [n_heads][n_rows] floats. Rows
 * outside the choice (the recency window; sinks, pinned and protected rows) are +infinity; for a
 * policy that draws, the others are weights of the draw (not normalised), else ranking scores; NaN
 * where the row is spoilt. Same arguments as vase_select. */
VASE_API vase_status vase_scores(const vase_params *params, const vase_layer *layer,
                                 int32_t head_first, int32_t head_count, float *scores,
                                 void *workspace, size_t workspace_size);

/** How far apart the largest and the smallest element of each row's value are, the range by which
 * VaSE protects rows (arXiv 2606.03928, section 3): [n_heads][n_rows] floats, by row; NaN where a
 * value is spoilt. Needs of the
 * layer its values, heads, rows and cells. Other arguments as for vase_select, and workspace as
 * vase_workspace_size() says for any parameters. */
VASE_API vase_status vase_value_ranges(const vase_layer *layer, int32_t head_first,
                                       int32_t head_count, float *ranges, void *workspace,
                                       size_t workspace_size);

/** How many rows each of the heads [head_first, head_first + head_count) protects from the policy's
 * choice, beside sinks and pinned rows: what vase_params.protect comes to. 0 for policies that
 * protect none.
 *
 *  rows: [n_heads], those of the chosen heads are set. Other arguments as for vase_select, but no
 * queries are needed. */
VASE_API vase_status vase_protected(const vase_params *params, const vase_layer *layer,
                                    int32_t head_first, int32_t head_count, int32_t *rows,
                                    void *workspace, size_t workspace_size);

/** Moves kept rows in place so that a block of rows becomes free, and touches nothing else.
 *
 *  Let m be the number of rows that each head gives up by `keep`. Rows [vacate_first, vacate_first
 * + m) become free: every kept row among them moves into the place of a given-up row outside. At
 * most m rows move per head. positions: [n_heads][n_rows] or NULL; updated with the moves (may be
 * the array that layer->positions points to), as is layer->sums. Entries of the vacated rows are
 * left as they are.
 *  keys and values may be views of the same memory (as in multi-head latent attention). */
VASE_API vase_status vase_compact(const vase_layer *layer, const uint8_t *keep,
                                  int32_t vacate_first, int32_t head_first, int32_t head_count,
                                  int32_t *positions);

#ifdef __cplusplus
}
#endif

#endif
