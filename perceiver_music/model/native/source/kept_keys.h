/* Keys that are sums of rows, of a token's and of its neighbours', normed: what turns is kept.
 *
 * Records of 16 positions are each read from front to back: keys, then norms, then (int8) scales.
 * Lanes are `[position][head]` without a gap, as many blocks of 16 as a bundle has heads: what is
 * read is what a context costs.
 */
#ifndef PM_KEPT_KEYS_H
#define PM_KEPT_KEYS_H

#include "bundle.h"

#define STAGE 256 /* positions whose keys stay close by while rows take turns */
#define RECORDS_AHEAD 8

/* The parts of a record of so many heads. */
INLINE size_t norms_at(const pm_model *m, int32_t heads) {
    return heads * lanes_bytes(m, m->turned);
}
INLINE size_t scales_at(const pm_model *m, int32_t heads) {
    return norms_at(m, heads) + (size_t)heads * 64;
}

/* Bundles before the last one are full. */
INLINE char *record_of(const pm_model *m, const pm_window *w, int32_t bundle, int32_t place) {
    const size_t records = rounded_up(w->capacity, PM_BLOCK) / PM_BLOCK;
    char *first = (char *)w->keys + bundle * records * pm_record_bytes(m, m->bundle);
    return first + place / PM_BLOCK * pm_record_bytes(m, heads_of(m, bundle));
}

/* Puts one position's keys, normed and turned, `[head][head_width]`, where they belong. */
static void write_context_key(
    const pm_model *m, const pm_window *w, int32_t place, const float *k, const float *norms
) {
    const int32_t turned = m->turned;
    const size_t size = lanes_bytes(m, turned);
    for (int32_t h = 0; h < m->shape.heads; h++, k += m->head_width) {
        const int32_t bundle = h / m->bundle, heads = heads_of(m, bundle);
        const int32_t at = place % PM_BLOCK * heads + h % m->bundle;
        char *record = record_of(m, w, bundle, place);
        const int32_t lane = at % PM_BLOCK;
        ((float *)(record + norms_at(m, heads)))[at] = norms[h];
        char *block = record + at / PM_BLOCK * size;
        if (m->precision == PM_FP32) {
            for (int32_t c = 0; c < turned; c++) ((float *)block)[c * PM_BLOCK + lane] = k[c];
            continue;
        }
        int8_t q[PM_MOST_HEAD_WIDTH + 4];
        ((uint16_t *)(record + scales_at(m, heads)))[at] = quantise_key(k, turned, q);
        memset(q + turned, 0, 4);
        for (int32_t c = 0; c < turned; c += 4) {
            uint32_t four;
            memcpy(&four, q + c, 4);
            four ^= 0x80808080u; /* plus 128 each */
            memcpy(block + (c / 4 * PM_BLOCK + lane) * 4, &four, 4);
            ONE_BY_ONE;
        }
    }
}

/* Products of what never turns, for the positions of a record, `[position][head]`. Of what is written
 * beyond a position's heads the next position is written over it. */
INLINE void gather_still(
    const int width, int32_t heads, const uint16_t *rows, const float *products, float *still
) {
    UNROLL
    for (int p = 0; p < PM_BLOCK; p++, rows += 4, still += heads) {
        if (width == 8) {
            v8 sum = {0};
            UNROLL
            for (int kind = 0; kind < 4; kind++) {
                v8 more;
                memcpy(&more, products + (size_t)rows[kind] * 8, sizeof more);
                sum += more;
            }
            memcpy(still, &sum, sizeof sum);
        } else {
            v4 sum = {0};
            UNROLL
            for (int kind = 0; kind < 4; kind++) {
                v4 more;
                memcpy(&more, products + (size_t)rows[kind] * 4, sizeof more);
                sum += more;
            }
            memcpy(still, &sum, sizeof sum);
        }
    }
}

/* Weights, not yet divided by their sum, of some blocks of a record from `first` on. */
INLINE void weigh_blocks(
    const int blocks, const pm_model *m, int32_t heads, int32_t first, const char *record,
    const bundle_query *q, const float *still, float *weights
) {
    const size_t size = lanes_bytes(m, m->turned);
    const float *norms = (const float *)(record + norms_at(m, heads)) + first * PM_BLOCK;
    const uint16_t *scales = (const uint16_t *)(record + scales_at(m, heads)) + first * PM_BLOCK;
    vf found[AT_ONCE * SUB];
    if (PM_BLOCK % heads)
        multiply_blocks(
            blocks, 0, m, m->turned, record + first * size, q->lanes + first * size,
            q->offset + first * PM_BLOCK, found
        );
    else
        multiply_blocks(
            blocks, 1, m, m->turned, record + first * size, q->lanes, q->offset, found
        );
    UNROLL
    for (int b = 0; b < blocks * SUB; b++) {
        const int32_t lane = b * LANES, at = first * PM_BLOCK + lane;
        vf factor = load(q->factor + (PM_BLOCK % heads ? at : lane % PM_BLOCK));
        if (m->precision == PM_INT8) factor *= load_bf16(scales + lane);
        const vf x = found[b] * factor + load(still + at) * load(norms + lane);
        store(weights + at, power_of_two(x));
    }
}

/* Weights, not yet divided by their sum, of the positions of a record: `[position][head]`. */
INLINE void weigh_record(
    const int width, const pm_model *m, int32_t heads, const char *record, const uint16_t *rows,
    const bundle_query *q, const float *products, float *weights
) {
    __attribute__((aligned(64))) float still[MOST_BUNDLE * (PM_BLOCK + 1)];
    gather_still(width, heads, rows, products, still);
    int32_t first = 0;
    for (; first + AT_ONCE <= heads; first += AT_ONCE)
        weigh_blocks(AT_ONCE, m, heads, first, record, q, still, weights);
    for (; first < heads; first++) weigh_blocks(1, m, heads, first, record, q, still, weights);
}

/* The first row finds keys in memory, and the others close by. */
INLINE void fetch_ahead(const char *record, size_t size) {
    const char *ahead = record + RECORDS_AHEAD * size;
    for (size_t at = 0; at < size; at += 64) FETCH(ahead + at);
}

/* Adds up the weights of all positions by their ids, for rows of one window. */
INLINE void weigh_kept(
    const int width, const pm_model *m, const pm_row *rows, int32_t num_rows, int32_t bundle,
    const context_room *room, const float *queries, int32_t stride
) {
    const pm_window *window = rows[0].window;
    const int32_t heads = heads_of(m, bundle), length = rows[num_rows - 1].index + 1;
    const int32_t blocks = PM_BLOCK % heads ? heads : 1; /* which then all are the same */
    const size_t query_size = blocks * lanes_bytes(m, m->turned);
    bundle_query made[PM_MAX_ROWS];
    for (int32_t r = 0; r < num_rows; r++)
        made[r] = make_bundle_query(
            m, queries + (size_t)r * stride, heads, heads, blocks, m->turned,
            room->queries + r * query_size
        );
    for (int32_t stage = 0; stage < length; stage += STAGE)
        for (int32_t r = 0; r < num_rows; r++) {
            const int32_t stop = least(stage + STAGE, rows[r].index + 1);
            for (int32_t start = stage; start < stop; start += PM_BLOCK) {
                /* Else registers' stores, which fill a cache line, might lie across two. */
                __attribute__((aligned(64))) float weights[MOST_BUNDLE * (PM_BLOCK + 1)];
                const uint16_t *ids = window->rows + (size_t)start * 4;
                const char *record = record_of(m, window, bundle, start);
                if (r == 0) fetch_ahead(record, pm_record_bytes(m, heads));
                weigh_record(
                    width, m, heads, record, ids, &made[r], products_of(m, room, r), weights
                );
                add_by_id(
                    width, weights, heads, ids, least(PM_BLOCK, stop - start),
                    counts_of(m, window, room, r)
                );
            }
        }
}

#endif
