/* Heads side by side: what a context's two kinds of keys have in common.
 *
 * Channels that are never turned need not be kept a position: a query's products with all rows of
 * the tables are made once, and looked up. A lane of the tables is one head of one row: `bundle` heads, 4
 * or 8, the last ones of no head perhaps, of neighbouring rows side by side.
 */
#ifndef PM_BUNDLE_H
#define PM_BUNDLE_H

#include "attention.h"

#define MOST_BUNDLE 8
typedef float v4 __attribute__((vector_size(16)));
typedef float v8 __attribute__((vector_size(32)));

INLINE int32_t least(int32_t a, int32_t b) { return a < b ? a : b; }

/* Bytes of 16 lanes of so many channels. */
INLINE size_t lanes_bytes(const pm_model *m, int32_t channels) {
    return m->precision == PM_INT8 ? (size_t)(channels + 3) / 4 * 64 : (size_t)channels * 64;
}

INLINE int32_t heads_of(const pm_model *m, int32_t bundle) {
    return least(m->shape.heads - bundle * m->bundle, m->bundle);
}

typedef struct {
    float *products, *counts; /* [row][id][bundle], the first of rows of tables */
    char *queries;            /* of rows */
    float *room, *wide;
    void *turned;             /* see token_keys.h */
} context_room;

INLINE float *products_of(const pm_model *m, const context_room *room, int32_t row) {
    return room->products + (size_t)row * m->table_rows * m->bundle;
}

INLINE float *counts_of(
    const pm_model *m, const pm_window *w, const context_room *room, int32_t row
) {
    return room->counts + (size_t)row * w->num_ids * m->bundle;
}

/* Some channels of a bundle's queries, as blocks of keys want them. */
typedef struct {
    const char *lanes; /* [block]; fp32: [channel][16]; int8: [channel / 4][16][4] */
    int32_t offset[MOST_BUNDLE * PM_BLOCK];
    float factor[MOST_BUNDLE * PM_BLOCK];
} bundle_query;

/* `heads` heads' channels, in `room` for so many blocks of lanes, where a head is every `stride`
 * lanes. */
static bundle_query make_bundle_query(
    const pm_model *m, const float *q, int32_t heads, int32_t stride, int32_t blocks,
    int32_t channels, char *room
) {
    bundle_query made = {.lanes = room};
    const size_t size = lanes_bytes(m, channels);
    memset(room, 0, blocks * size);
    for (int32_t h = 0; h < heads; h++, q += m->head_width) {
        int8_t narrow[PM_MOST_HEAD_WIDTH + 4];
        int32_t sum = 0;
        float factor = LOG2_E / sqrtf((float)m->head_width);
        if (m->precision == PM_INT8) {
            factor *= quantise_values(q, channels, narrow, &sum);
            memset(narrow + channels, 0, 4);
        }
        for (int32_t at = h; at < blocks * PM_BLOCK; at += stride) {
            char *block = room + at / PM_BLOCK * size;
            const int32_t lane = at % PM_BLOCK;
            made.factor[at] = factor;
            made.offset[at] = -128 * sum;
            if (m->precision == PM_FP32)
                for (int32_t c = 0; c < channels; c++) ((float *)block)[c * PM_BLOCK + lane] = q[c];
            else
                for (int32_t c = 0; c < channels; c += 4)
                    memcpy(block + (c / 4 * PM_BLOCK + lane) * 4, narrow + c, 4);
        }
    }
    return made;
}

/* Products of some blocks of keys with as many of a query, or all with its first; not yet scaled. */
INLINE void multiply_blocks(
    const int blocks, const int is_first, const pm_model *m, int32_t channels, const char *keys,
    const char *lanes, const int32_t *offset, vf products[AT_ONCE * SUB]
) {
    const size_t size = lanes_bytes(m, channels);
    if (m->precision == PM_INT8) {
        vi acc[AT_ONCE * SUB];
        UNROLL
        for (int b = 0; b < blocks * SUB; b++)
            memcpy(&acc[b], offset + (is_first ? b % SUB : b) * LANES, sizeof acc[b]);
        for (size_t at = 0; at < size; at += 64) {
            UNROLL
            for (int b = 0; b < blocks * SUB; b++) {
                const size_t sub = at + b % SUB * 4 * LANES;
                vi a;
                memcpy(&a, lanes + (is_first ? 0 : b / SUB * size) + sub, sizeof a);
                acc[b] = dot4(acc[b], (const uint8_t *)keys + b / SUB * size + sub, a);
            }
        }
        UNROLL
        for (int b = 0; b < blocks * SUB; b++) products[b] = as_float(acc[b]);
        return;
    }
    UNROLL
    for (int b = 0; b < blocks * SUB; b++) products[b] = (vf){0};
    for (size_t at = 0; at < size; at += 64) {
        UNROLL
        for (int b = 0; b < blocks * SUB; b++) {
            const size_t sub = at + b % SUB * 4 * LANES;
            products[b] += load((const float *)(keys + b / SUB * size + sub)) *
                           load((const float *)(lanes + (is_first ? 0 : b / SUB * size) + sub));
        }
    }
}

/* A query's products with the rows `from` to before `to` of the tables, `[row][width]`. Some rows
 * beyond them are written, too. */
INLINE void multiply_table(
    const int width, const pm_model *m, int32_t bundle, const bundle_query *q, int32_t from,
    int32_t to, float *products
) {
    const int rows = PM_BLOCK / width * AT_ONCE; /* at once */
    const size_t size = lanes_bytes(m, m->head_width - m->turned);
    const size_t first = (size_t)bundle * m->table_rows * width / PM_BLOCK;
    for (int32_t row = from / rows * rows; row < to; row += rows) {
        const size_t block = first + (size_t)row * width / PM_BLOCK;
        vf found[AT_ONCE * SUB];
        multiply_blocks(
            AT_ONCE, 1, m, m->head_width - m->turned, (const char *)m->key_table + block * size,
            q->lanes, q->offset, found
        );
        UNROLL
        for (int b = 0; b < AT_ONCE * SUB; b++) {
            const vf scale = load(m->key_table_scale + block * PM_BLOCK + b * LANES);
            store(
                products + (size_t)row * width + b * LANES,
                found[b] * scale * load(q->factor + b % SUB * LANES)
            );
        }
    }
}

/* Rows of `width` floats that fill a register: those of so many positions, or a part of one.
 * `rows` is of the first position, and 4 apart. */
INLINE vf look_up(const int width, const int part, const float *table, const uint16_t *rows) {
#if LANES == 16
    (void)part;
    if (width == 8) {
        v8 a, b;
        memcpy(&a, table + (size_t)rows[0] * 8, sizeof a);
        memcpy(&b, table + (size_t)rows[4] * 8, sizeof b);
        return JOIN_8(a, b);
    }
    v4 a, b, c, d;
    memcpy(&a, table + (size_t)rows[0] * 4, sizeof a);
    memcpy(&b, table + (size_t)rows[4] * 4, sizeof b);
    memcpy(&c, table + (size_t)rows[8] * 4, sizeof c);
    memcpy(&d, table + (size_t)rows[12] * 4, sizeof d);
    return JOIN_8(JOIN_4(a, b), JOIN_4(c, d));
#elif LANES == 8
    (void)part;
    if (width == 8) return load(table + (size_t)rows[0] * 8);
    v4 a, b;
    memcpy(&a, table + (size_t)rows[0] * 4, sizeof a);
    memcpy(&b, table + (size_t)rows[4] * 4, sizeof b);
    return JOIN_4(a, b);
#else
    return load(table + (size_t)rows[0] * width + part * LANES);
#endif
}

/* Adds the weights of so many positions, `stride` apart, to those of their ids; all heads of a bundle
 * at once. What lies between `stride` and the width goes to lanes of no head. */
INLINE void add_by_id(
    const int width, const float *weights, int32_t stride, const uint16_t *rows, int32_t length,
    float *counts
) {
    for (int32_t p = 0; p < length; p++) {
        float *to = counts + (size_t)rows[p * 4] * width;
        if (width == 8) {
            v8 sum, more;
            memcpy(&sum, to, sizeof sum);
            memcpy(&more, weights + p * stride, sizeof more);
            sum += more;
            memcpy(to, &sum, sizeof sum);
        } else {
            v4 sum, more;
            memcpy(&sum, to, sizeof sum);
            memcpy(&more, weights + p * stride, sizeof more);
            sum += more;
            memcpy(to, &sum, sizeof sum);
        }
    }
}

#endif
