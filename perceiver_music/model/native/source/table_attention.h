/* Attention whose values are rows of a table, forward and backward, for training and scoring.
 *
 * The keys are those of positions, the values those of ids. So the weights that a query gives to
 * positions are added up by id, and what remains is a product with a table of some hundred rows; on
 * the way back a weight's gradient is looked up by id, too. Of the seven products of attention over
 * all positions four are left, and no score is ever written to memory.
 *
 * Queries stand side by side in registers, a tile of them at a time. Scores are small (queries and
 * keys are normed), so they need not be made smaller before they become powers.
 */
#ifndef PM_TABLE_ATTENTION_H
#define PM_TABLE_ATTENTION_H

#include <stdlib.h>

#include "simd.h"

#define ROWS 4                          /* of a product, at a time */
#define REGISTERS (LANES == 16 ? 4 : 2) /* of each of them */
#define TILE (REGISTERS * LANES)
#define STRIP 32 /* keys whose gradients of scores stay close by */

/* acc[r][g] += a[r * a_row + k * a_step] * b[k * b_step + g * LANES], for k below `length`. */
INLINE void multiply(
    const int rows, const int registers, int32_t length, const float *a, ptrdiff_t a_row,
    ptrdiff_t a_step, const float *b, ptrdiff_t b_step, vf *acc
) {
    for (int32_t k = 0; k < length; k++, a += a_step, b += b_step) {
        vf right[REGISTERS];
        UNROLL
        for (int g = 0; g < registers; g++) right[g] = load(b + g * LANES);
        UNROLL
        for (int r = 0; r < rows; r++) {
            const vf left = splat(a[r * a_row]);
            UNROLL
            for (int g = 0; g < registers; g++) acc[r * registers + g] += left * right[g];
        }
    }
}

/* A block of `multiply` added to what is there. */
INLINE void add_block(
    const int rows, const int registers, int32_t length, const float *a, ptrdiff_t a_row,
    ptrdiff_t a_step, const float *b, ptrdiff_t b_step, float factor, float *c, ptrdiff_t c_row
) {
    vf acc[ROWS * REGISTERS];
    UNROLL
    for (int i = 0; i < rows * registers; i++) acc[i] = splat(0.0f);
    multiply(rows, registers, length, a, a_row, a_step, b, b_step, acc);
    UNROLL
    for (int r = 0; r < rows; r++)
        for (int g = 0; g < registers; g++) {
            float *to = c + r * c_row + g * LANES;
            store(to, load(to) + acc[r * registers + g] * splat(factor));
        }
}

/* c += factor * a b: [rows][columns]; `columns` is a multiple of LANES. */
INLINE void add_product(
    int32_t rows, int32_t columns, int32_t length, const float *a, ptrdiff_t a_row,
    ptrdiff_t a_step, const float *b, ptrdiff_t b_step, float factor, float *c, ptrdiff_t c_row
) {
    for (int32_t at = 0, wide; at < columns; at += wide) {
        wide = columns - at < TILE ? LANES : TILE;
        for (int32_t r = 0, some; r < rows; r += some) {
            const float *from = a + r * a_row;
            float *to = c + r * c_row + at;
            some = rows - r < ROWS ? 1 : ROWS;
            if (some == ROWS && wide == TILE)
                add_block(
                    ROWS, REGISTERS, length, from, a_row, a_step, b + at, b_step, factor, to, c_row
                );
            else if (some == ROWS)
                add_block(ROWS, 1, length, from, a_row, a_step, b + at, b_step, factor, to, c_row);
            else if (wide == TILE)
                add_block(
                    1, REGISTERS, length, from, a_row, a_step, b + at, b_step, factor, to, c_row
                );
            else
                add_block(1, 1, length, from, a_row, a_step, b + at, b_step, factor, to, c_row);
        }
    }
}

/* A tile of queries of one head of one sequence, and what is needed for it alone. */
typedef struct {
    int32_t first, count;  /* its first query, and how many of its lanes are queries */
    int32_t position;      /* of the first query among the keys */
    int32_t num_keys;      /* that any of them may see */
    float *query;          /* [width][TILE], times log2(e) / sqrt(width) */
    float *counts;         /* [id][TILE]: weights by id */
    float *wide;           /* [width][TILE] */
    float *by_id;          /* [id][TILE]: what a weight's gradient is, but for `along` */
    float *strip;          /* [STRIP][TILE]: gradients of scores */
    float inverse[TILE], along[TILE];
} tile;

INLINE size_t tile_floats(const pm_attention *a, int is_backward) {
    const size_t rows = 2 * (size_t)a->width + a->num_ids;
    return (rows + (is_backward ? (size_t)a->num_ids + STRIP : 0)) * TILE;
}

static tile make_tile(const pm_attention *a, float *room) {
    tile t = {.query = room};
    t.wide = t.query + (size_t)a->width * TILE;
    t.counts = t.wide + (size_t)a->width * TILE;
    t.by_id = t.counts + (size_t)a->num_ids * TILE;
    t.strip = t.by_id + (size_t)a->num_ids * TILE;
    return t;
}

/* `[count][width]` as `[width][TILE]`; lanes without a query are zero. */
static void put_side_by_side(const float *x, int32_t count, int32_t width, float factor, float *to) {
    for (int32_t c = 0; c < width; c++)
        for (int32_t i = 0; i < TILE; i++) to[c * TILE + i] = i < count ? x[i * width + c] * factor : 0;
}

static void begin_tile(const pm_attention *a, const float *queries, int32_t first, tile *t) {
    t->first = first;
    t->count = a->queries - first < TILE ? a->queries - first : TILE;
    t->position = a->keys - a->queries + first;
    t->num_keys = t->position + t->count;
    const float *q = queries + (size_t)first * a->width;
    put_side_by_side(q, t->count, a->width, LOG2_E / sqrtf((float)a->width), t->query);
    memset(t->counts, 0, sizeof(float) * TILE * a->num_ids);
}

/* Which queries see a key, as all ones; none of it, if none does. */
INLINE vf seen(const tile *t, int32_t key, int is_visible, int g, vf weight) {
    vi lane;
    for (int i = 0; i < LANES; i++) lane[i] = t->position + g * LANES + i;
    const vi own = splat_int(key);
    const vi mask = is_visible ? lane >= own : lane == own;
    return choose(mask, weight, splat(0.0f));
}

/* Weights, not yet divided by their sum, of up to ROWS keys. */
INLINE void weigh_keys(
    const pm_attention *a, const tile *t, const float *keys, const uint8_t *visible, int32_t key,
    int32_t some, vf weights[ROWS * REGISTERS]
) {
    UNROLL
    for (int i = 0; i < ROWS * REGISTERS; i++) weights[i] = splat(0.0f);
    const float *from = keys + (size_t)key * a->width;
    if (some == ROWS)
        multiply(ROWS, REGISTERS, a->width, from, a->width, 1, t->query, TILE, weights);
    else
        for (int32_t r = 0; r < some; r++)
            multiply(
                1, REGISTERS, a->width, from + r * a->width, 0, 1, t->query, TILE,
                weights + r * REGISTERS
            );
    UNROLL
    for (int i = 0; i < ROWS * REGISTERS; i++) weights[i] = power_of_two(weights[i]);
    for (int r = 0; r < some; r++) {
        const int is_visible = !visible || visible[key + r];
        if (is_visible && key + r <= t->position) continue;
        for (int g = 0; g < REGISTERS; g++)
            weights[r * REGISTERS + g] =
                seen(t, key + r, is_visible, g, weights[r * REGISTERS + g]);
    }
}

INLINE void add_row(float *to, const vf *row) {
    for (int g = 0; g < REGISTERS; g++) store(to + g * LANES, load(to + g * LANES) + row[g]);
}

/* What a pair, a head of a sequence, looks at. */
#define PAIR(a, pair, name, rows) ((a)->name + (size_t)(pair) * (a)->rows * (a)->width)

static void attend_tile(const pm_attention *a, int32_t pair, tile *t) {
    const int32_t sequence = pair / a->heads, width = a->width;
    const float *keys = PAIR(a, pair, key, keys);
    const float *table = a->table + (size_t)(pair % a->heads) * a->num_ids * width;
    const int32_t *ids = a->ids + (size_t)sequence * a->keys;
    const uint8_t *visible = a->visible ? a->visible + (size_t)sequence * a->keys : NULL;
    for (int32_t key = 0; key < t->num_keys; key += ROWS) {
        const int32_t some = t->num_keys - key < ROWS ? t->num_keys - key : ROWS;
        vf weights[ROWS * REGISTERS];
        weigh_keys(a, t, keys, visible, key, some, weights);
        for (int32_t r = 0; r < some; r++)
            add_row(t->counts + (size_t)ids[key + r] * TILE, weights + r * REGISTERS);
    }
    vf sums[REGISTERS];
    for (int g = 0; g < REGISTERS; g++) sums[g] = splat(0.0f);
    for (int32_t id = 0; id < a->num_ids; id++)
        for (int g = 0; g < REGISTERS; g++) sums[g] += load(t->counts + (size_t)id * TILE + g * LANES);
    for (int g = 0; g < REGISTERS; g++) store(t->inverse + g * LANES, splat(1.0f) / sums[g]);
    memset(t->wide, 0, sizeof(float) * TILE * width);
    add_product(width, TILE, a->num_ids, table, 1, width, t->counts, TILE, 1.0f, t->wide, TILE);
    float *mixed = PAIR(a, pair, mixed, queries) + (size_t)t->first * width;
    float *inverse = a->inverse + (size_t)pair * a->queries + t->first;
    for (int32_t i = 0; i < t->count; i++) {
        inverse[i] = t->inverse[i];
        for (int32_t c = 0; c < width; c++)
            mixed[i * width + c] = t->wide[c * TILE + i] * t->inverse[i];
    }
}

/* Gradients of the scores of some keys, to `strip`; their weights are added up by id. */
INLINE void strip_of(
    const pm_attention *a, const tile *t, const float *keys, const uint8_t *visible,
    const int32_t *ids, int32_t first, int32_t last
) {
    for (int32_t key = first; key < last; key += ROWS) {
        const int32_t some = last - key < ROWS ? last - key : ROWS;
        vf weights[ROWS * REGISTERS];
        weigh_keys(a, t, keys, visible, key, some, weights);
        for (int32_t r = 0; r < some; r++) {
            vf *row = weights + r * REGISTERS;
            float *to = t->strip + (key - first + r) * TILE;
            const float *by_id = t->by_id + (size_t)ids[key + r] * TILE;
            for (int g = 0; g < REGISTERS; g++) row[g] *= load(t->inverse + g * LANES);
            add_row(t->counts + (size_t)ids[key + r] * TILE, row);
            for (int g = 0; g < REGISTERS; g++) {
                const vf slope = load(by_id + g * LANES) - load(t->along + g * LANES);
                store(to + g * LANES, row[g] * slope);
            }
        }
    }
}

static void attend_tile_back(const pm_attention *a, int32_t pair, tile *t) {
    const int32_t sequence = pair / a->heads, width = a->width;
    const float *keys = PAIR(a, pair, key, keys);
    const float *queries = PAIR(a, pair, query, queries) + (size_t)t->first * width;
    const float *mixed = PAIR(a, pair, mixed, queries) + (size_t)t->first * width;
    const float *slope = PAIR(a, pair, slope, queries) + (size_t)t->first * width;
    const float *table = a->table + (size_t)(pair % a->heads) * a->num_ids * width;
    const int32_t *ids = a->ids + (size_t)sequence * a->keys;
    const uint8_t *visible = a->visible ? a->visible + (size_t)sequence * a->keys : NULL;
    const float factor = 1.0f / sqrtf((float)width);
    memset(t->inverse, 0, sizeof t->inverse);
    memset(t->along, 0, sizeof t->along);
    for (int32_t i = 0; i < t->count; i++) {
        t->inverse[i] = a->inverse[(size_t)pair * a->queries + t->first + i];
        for (int32_t c = 0; c < width; c++) t->along[i] += mixed[i * width + c] * slope[i * width + c];
    }
    put_side_by_side(slope, t->count, width, 1.0f, t->wide);
    memset(t->by_id, 0, sizeof(float) * TILE * a->num_ids);
    add_product(a->num_ids, TILE, width, table, width, 1, t->wide, TILE, 1.0f, t->by_id, TILE);
    memset(t->wide, 0, sizeof(float) * TILE * width); /* from here on the queries' gradients */
    for (int32_t key = 0; key < t->num_keys; key += STRIP) {
        const int32_t last = t->num_keys - key < STRIP ? t->num_keys : key + STRIP;
        const float *some = keys + (size_t)key * width;
        float *to = PAIR(a, pair, key_slope, keys) + (size_t)key * width;
        strip_of(a, t, keys, visible, ids, key, last);
        add_product(last - key, width, t->count, t->strip, TILE, 1, queries, width, factor, to, width);
        add_product(width, TILE, last - key, some, 1, width, t->strip, TILE, factor, t->wide, TILE);
    }
    float *to = PAIR(a, pair, query_slope, queries) + (size_t)t->first * width;
    for (int32_t i = 0; i < t->count; i++)
        for (int32_t c = 0; c < width; c++) to[i * width + c] = t->wide[c * TILE + i];
    add_product(
        a->num_ids, width, t->count, t->counts, TILE, 1, slope, width, 1.0f,
        PAIR(a, pair, table_slope, num_ids), width
    );
}

/* The pairs `from` to before `to`; not 0 when memory is short. */
static int32_t attend(const pm_attention *a, int32_t from, int32_t to) {
    const int is_backward = a->slope != NULL;
    void *room = NULL;
    if (posix_memalign(&room, 64, sizeof(float) * tile_floats(a, is_backward))) return 1;
    tile t = make_tile(a, room);
    for (int32_t pair = from; pair < to; pair++)
        for (int32_t first = 0; first < a->queries; first += TILE) {
            begin_tile(a, PAIR(a, pair, query, queries), first, &t);
            if (is_backward)
                attend_tile_back(a, pair, &t);
            else
                attend_tile(a, pair, &t);
        }
    free(room);
    return 0;
}

#endif
