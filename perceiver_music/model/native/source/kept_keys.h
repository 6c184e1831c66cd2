/* Keys that are sums of rows, of a token's and of its neighbours', normed: what turns is kept.
 *
 * Records of 16 positions are each read from front to back: keys, then norms, then (int8) scales.
 */
#ifndef PM_KEPT_KEYS_H
#define PM_KEPT_KEYS_H

#include "bundle.h"

#define STAGE 256 /* positions whose keys stay close by while rows take turns */
#define RECORDS_AHEAD 8

/* The parts of a record; a bundle's width is its number of blocks of 16 lanes. */
INLINE size_t norms_at(const pm_model *m) { return m->bundle * lanes_bytes(m, m->turned); }
INLINE size_t scales_at(const pm_model *m) { return norms_at(m) + (size_t)m->bundle * 64; }

INLINE char *record_of(const pm_model *m, const pm_window *w, int32_t bundle, int32_t place) {
    const size_t records = rounded_up(w->capacity, PM_BLOCK) / PM_BLOCK;
    return (char *)w->keys + (bundle * records + place / PM_BLOCK) * m->record_bytes;
}

/* Puts one position's keys, normed and turned, `[head][head_width]`, where they belong. */
static void write_context_key(
    const pm_model *m, const pm_window *w, int32_t place, const float *k, const float *norms
) {
    const int32_t heads = m->shape.heads, bundle = m->bundle, turned = m->turned;
    const size_t size = lanes_bytes(m, turned);
    const int32_t first = place % PM_BLOCK * bundle;
    char *record = NULL;
    for (int32_t h = 0, at = 0; h < heads; h++, at++, k += m->head_width) {
        if (h % bundle == 0) {
            record = record_of(m, w, h / bundle, place);
            at = first;
        }
        const int32_t lane = at % PM_BLOCK;
        ((float *)(record + norms_at(m)))[at] = norms[h];
        char *block = record + at / PM_BLOCK * size;
        if (m->precision == PM_FP32) {
            for (int32_t c = 0; c < turned; c++) ((float *)block)[c * PM_BLOCK + lane] = k[c];
            continue;
        }
        int8_t q[PM_MOST_HEAD_WIDTH + 4];
        ((uint16_t *)(record + scales_at(m)))[at] = quantise_key(k, turned, q);
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

/* Weights, not yet divided by their sum, of the positions of a record: `[position][width]`. */
INLINE void weigh_record(
    const int width, const pm_model *m, const char *record, const uint16_t *rows,
    const bundle_query *q, const float *products, float *weights
) {
    const size_t size = lanes_bytes(m, m->turned);
    const float *norms = (const float *)(record + norms_at(m));
    const uint16_t *scales = (const uint16_t *)(record + scales_at(m));
    for (int first = 0; first < width; first += AT_ONCE) {
        vf found[AT_ONCE * SUB];
        multiply_blocks(m, m->turned, record + first * size, q, found);
        UNROLL
        for (int b = 0; b < AT_ONCE * SUB; b++) {
            const int lane = first * PM_BLOCK + b * LANES, part = lane % width / LANES;
            const uint16_t *at = rows + (size_t)(lane / width) * 4;
            vf same = look_up(width, part, products, at);
            if (m->shape.neighbours)
                for (int kind = 1; kind < 4; kind++)
                    same += look_up(width, part, products, at + kind);
            vf factor = load(q->factor + b % SUB * LANES);
            if (m->precision == PM_INT8) factor *= load_bf16(scales + lane);
            store(weights + lane, power_of_two(found[b] * factor + same * load(norms + lane)));
        }
    }
}

/* The first row finds keys in memory, and the others close by. */
INLINE void fetch_ahead(const pm_model *m, const char *record) {
    const char *ahead = record + RECORDS_AHEAD * m->record_bytes;
    for (size_t at = 0; at < m->record_bytes; at += 64) FETCH(ahead + at);
}

/* Adds up the weights of all positions by their ids, for rows of one window. */
INLINE void weigh_kept(
    const int width, const pm_model *m, const pm_row *rows, int32_t num_rows, int32_t bundle,
    const context_room *room, const float *queries, int32_t stride
) {
    const pm_window *window = rows[0].window;
    const int32_t heads = heads_of(m, bundle), length = rows[num_rows - 1].index + 1;
    const size_t query_size = lanes_bytes(m, m->turned);
    bundle_query made[PM_MAX_ROWS];
    for (int32_t r = 0; r < num_rows; r++)
        made[r] = make_bundle_query(
            m, queries + (size_t)r * stride, heads, m->turned, room->queries + r * query_size
        );
    for (int32_t stage = 0; stage < length; stage += STAGE)
        for (int32_t r = 0; r < num_rows; r++) {
            const int32_t stop = least(stage + STAGE, rows[r].index + 1);
            for (int32_t start = stage; start < stop; start += PM_BLOCK) {
                /* Else registers' stores, which fill a cache line, might lie across two. */
                __attribute__((aligned(64))) float weights[MOST_BUNDLE * PM_BLOCK];
                const uint16_t *ids = window->rows + (size_t)start * 4;
                const char *record = record_of(m, window, bundle, start);
                if (r == 0) fetch_ahead(m, record);
                weigh_record(width, m, record, ids, &made[r], products_of(m, room, r), weights);
                add_by_id(
                    width, weights, ids, least(PM_BLOCK, stop - start),
                    counts_of(m, window, room, r)
                );
            }
        }
}

#endif
