/* Eviction on arrays of one's own, through the C interface: a cache of 2 heads is full, each head
 * gives up 16 of its 144 rows, and the first 16 cells become free for new tokens. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <vase/vase.h>

enum { HEADS = 2, DIM = 64, BUDGET = 128, INTERVAL = 16 };
enum { ROWS = BUDGET + INTERVAL };

static float keys[ROWS][HEADS][DIM];
static float values[ROWS][HEADS][DIM];
static int32_t positions[HEADS][ROWS]; /* which token a row stands for */
static uint8_t keep[HEADS][ROWS];

/* Numbers in place of a model's. */
static void fill(float *x, size_t n) {
  static uint32_t state = 1;
  for (size_t i = 0; i < n; i++) {
    state = state * 1664525u + 1013904223u;
    x[i] = (float)(state >> 8) / (float)(1 << 23) - 1.0f;
  }
}

static int fail(const char *what) {
  fprintf(stderr, "%s: %s\n", what, vase_last_error());
  return 1;
}

int main(void) {
  fill(&keys[0][0][0], sizeof keys / sizeof(float));
  fill(&values[0][0][0], sizeof values / sizeof(float));
  for (int h = 0; h < HEADS; h++)
    for (int i = 0; i < ROWS; i++) positions[h][i] = i;

  /* This policy needs no queries; for those that do, see vase_layer.queries. Its keys must not have
   * been rotated (RoPE), or else vase_layer.rope says how. */
  vase_params params = vase_params_default(vase_policy_default(), BUDGET);
  params.interval = INTERVAL;

  /* A row is found by two strides, so the library works on the cache where it lies. */
  vase_rows rows = {
      .type = VASE_F32, .dim = DIM, .row_stride = sizeof keys[0], .head_stride = sizeof keys[0][0]};
  vase_layer layer = {.size = sizeof layer,
                      .keys = rows,
                      .values = rows,
                      .n_heads = HEADS,
                      .n_rows = ROWS,
                      .positions = &positions[0][0]};
  layer.keys.data = keys;
  layer.values.data = values;

  size_t size = vase_workspace_size(&params, &layer);
  if (size == 0) return fail("vase_workspace_size");
  void *workspace = malloc(size);
  if (workspace == NULL) return 1;
  if (vase_select(&params, &layer, 0, HEADS, &keep[0][0], workspace, size) != VASE_OK)
    return fail("vase_select");
  if (vase_compact(&layer, &keep[0][0], 0, 0, HEADS, &positions[0][0]) != VASE_OK)
    return fail("vase_compact");
  free(workspace);

  printf("vase %s\n", vase_version());
  for (int h = 0; h < HEADS; h++) {
    int kept = 0;
    for (int i = 0; i < ROWS; i++) kept += keep[h][i];
    printf("head %d keeps %d of %d rows; cells %d to %d now hold tokens", h, kept, ROWS, INTERVAL,
           INTERVAL + 7);
    for (int i = INTERVAL; i < INTERVAL + 8; i++) printf(" %d", (int)positions[h][i]);
    printf("\n");
  }
  return 0;
}
