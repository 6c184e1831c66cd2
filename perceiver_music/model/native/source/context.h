/* The context: its keys, and what it gives its latents.
 *
 * A key is a sum of rows of tables, of its token's and of its neighbours', normed and partly turned.
 * Channels that are never turned need not be kept a position: a query's products with all rows of
 * the tables are made once, and looked up. What is kept are the turned channels, in records of 16
 * positions, each read from front to back: keys, then norms, then (int8) scales.
 *
 * A lane is one head of one position: `bundle` heads, 4 or 8, of neighbouring positions side by
 * side. So are the rows of the tables.
 */
#ifndef PM_CONTEXT_H
#define PM_CONTEXT_H

#include "attention.h"

#define MOST_BUNDLE 8
#define STAGE 256 /* positions whose keys stay close by while rows take turns */
#define RECORDS_AHEAD 8
typedef float v4 __attribute__((vector_size(16)));
typedef float v8 __attribute__((vector_size(32)));

INLINE int32_t least(int32_t a, int32_t b) { return a < b ? a : b; }

/* Bytes of 16 lanes of so many channels. */
INLINE size_t lanes_bytes(const pm_model *m, int32_t channels) {
    return m->precision == PM_INT8 ? (size_t)(channels + 3) / 4 * 64 : (size_t)channels * 64;
}

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

/* Some channels of a bundle's queries, as blocks of keys want them. */
typedef struct {
    const char *lanes; /* fp32: [channel][16]; int8: [channel / 4][16][4] */
    int32_t offset[PM_BLOCK];
    float factor[PM_BLOCK];
} bundle_query;

/* `heads` heads' channels, `room` for them in all lanes. */
static bundle_query make_bundle_query(
    const pm_model *m, const float *q, int32_t heads, int32_t channels, char *room
) {
    bundle_query made = {.lanes = room};
    memset(room, 0, lanes_bytes(m, channels));
    for (int32_t h = 0; h < heads; h++, q += m->head_width) {
        int8_t narrow[PM_MOST_HEAD_WIDTH + 4];
        int32_t sum = 0;
        float factor = LOG2_E / sqrtf((float)m->head_width);
        if (m->precision == PM_INT8) {
            factor *= quantise_values(q, channels, narrow, &sum);
            memset(narrow + channels, 0, 4);
        }
        for (int32_t lane = h; lane < PM_BLOCK; lane += m->bundle) {
            made.factor[lane] = factor;
            made.offset[lane] = -128 * sum;
            if (m->precision == PM_FP32)
                for (int32_t c = 0; c < channels; c++) ((float *)room)[c * PM_BLOCK + lane] = q[c];
            else
                for (int32_t c = 0; c < channels; c += 4)
                    memcpy(room + (c / 4 * PM_BLOCK + lane) * 4, narrow + c, 4);
        }
    }
    return made;
}

/* Products of AT_ONCE blocks with a query, not yet scaled. */
INLINE void multiply_blocks(
    const pm_model *m, int32_t channels, const char *keys, const bundle_query *q,
    vf products[AT_ONCE * SUB]
) {
    const size_t size = lanes_bytes(m, channels);
    if (m->precision == PM_INT8) {
        vi acc[AT_ONCE * SUB];
        UNROLL
        for (int b = 0; b < AT_ONCE * SUB; b++)
            memcpy(&acc[b], q->offset + b % SUB * LANES, sizeof acc[b]);
        for (size_t at = 0; at < size; at += 64) {
            UNROLL
            for (int b = 0; b < AT_ONCE * SUB; b++) {
                const size_t sub = at + b % SUB * 4 * LANES;
                vi a;
                memcpy(&a, q->lanes + sub, sizeof a);
                acc[b] = dot4(acc[b], (const uint8_t *)keys + b / SUB * size + sub, a);
            }
        }
        UNROLL
        for (int b = 0; b < AT_ONCE * SUB; b++) products[b] = as_float(acc[b]);
        return;
    }
    UNROLL
    for (int b = 0; b < AT_ONCE * SUB; b++) products[b] = (vf){0};
    for (size_t at = 0; at < size; at += 64) {
        UNROLL
        for (int b = 0; b < AT_ONCE * SUB; b++) {
            const size_t sub = at + b % SUB * 4 * LANES;
            products[b] += load((const float *)(keys + b / SUB * size + sub)) *
                           load((const float *)(q->lanes + sub));
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
            m, m->head_width - m->turned, (const char *)m->key_table + block * size, q, found
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

/* Adds the weights of so many positions to those of their ids; all heads of a bundle at once. */
INLINE void add_by_id(
    const int width, const float *weights, const uint16_t *rows, int32_t length, float *counts
) {
    for (int32_t p = 0; p < length; p++) {
        float *to = counts + (size_t)rows[p * 4] * width;
        if (width == 8) {
            v8 sum, more;
            memcpy(&sum, to, sizeof sum);
            memcpy(&more, weights + p * 8, sizeof more);
            sum += more;
            memcpy(to, &sum, sizeof sum);
        } else {
            v4 sum, more;
            memcpy(&sum, to, sizeof sum);
            memcpy(&more, weights + p * 4, sizeof more);
            sum += more;
            memcpy(to, &sum, sizeof sum);
        }
    }
}

/* Sums of the table of values by weights of ids, `[id][width]`, for the heads of a bundle. */
INLINE void mix_ids(
    const int width, const pm_model *m, int32_t first, int32_t heads, int32_t num_ids,
    const float *counts, float *room, float *wide, float *mixed
) {
    const size_t size = (size_t)m->num_ids * m->value_width;
    for (int32_t h = 0; h < heads; h++) {
        for (int32_t t = 0; t < num_ids; t++) room[t] = counts[t * width + h];
        for (size_t t = num_ids; t < rounded_up(num_ids, PM_BLOCK); t++) room[t] = 0;
        const size_t at = (first + h) * size;
        if (m->precision == PM_FP32)
            mix_rows(0, (const float *)m->value_rows + at, m->value_width, num_ids, room, wide);
        else
            mix_rows(1, (const uint16_t *)m->value_rows + at, m->value_width, num_ids, room, wide);
        put_head(m, wide, inverse_sum(room, num_ids), first + h, mixed);
    }
}

typedef struct {
    float *products, *counts; /* [row][id][bundle], the first of rows of tables */
    char *queries;            /* of rows */
    float *room, *wide;
} context_room;

/* What a context gives its latents: weights are added up by id, then a table of all ids is
 * summed. One bundle of heads, for rows of one window; `queries` and `mixed` are `stride` and the
 * width apart. The bundle's width is a constant. */
INLINE void mix_context(
    const int width, const pm_model *m, const pm_row *rows, int32_t num_rows, int32_t bundle,
    const context_room *room, const float *queries, int32_t stride, float *mixed
) {
    const pm_window *window = rows[0].window;
    const int32_t num_ids = window->num_ids, length = rows[num_rows - 1].index + 1;
    const int32_t first = bundle * width, heads = least(m->shape.heads - first, width);
    const size_t products_size = (size_t)m->table_rows * width, counts_size = (size_t)num_ids * width;
    const size_t query_size = lanes_bytes(m, m->turned);
    bundle_query made[PM_MAX_ROWS];
    for (int32_t r = 0; r < num_rows; r++) {
        const float *q = queries + (size_t)r * stride + first * m->head_width;
        float *products = room->products + r * products_size;
        const bundle_query same = make_bundle_query(
            m, q + m->turned, heads, m->head_width - m->turned, room->queries + r * query_size
        );
        multiply_table(width, m, bundle, &same, 0, num_ids, products);
        multiply_table(width, m, bundle, &same, m->num_ids, m->num_key_rows, products);
        made[r] = make_bundle_query(m, q, heads, m->turned, room->queries + r * query_size);
    }
    memset(room->counts, 0, sizeof(float) * counts_size * num_rows);
    for (int32_t stage = 0; stage < length; stage += STAGE)
        for (int32_t r = 0; r < num_rows; r++) {
            const int32_t stop = least(stage + STAGE, rows[r].index + 1);
            for (int32_t start = stage; start < stop; start += PM_BLOCK) {
                /* Else registers' stores, which fill a cache line, might lie across two. */
                __attribute__((aligned(64))) float weights[MOST_BUNDLE * PM_BLOCK];
                const uint16_t *ids = window->rows + (size_t)start * 4;
                const char *record = record_of(m, window, bundle, start);
                if (r == 0) fetch_ahead(m, record);
                weigh_record(
                    width, m, record, ids, &made[r],
                    room->products + r * products_size, weights
                );
                add_by_id(
                    width, weights, ids, least(PM_BLOCK, stop - start),
                    room->counts + r * counts_size
                );
            }
        }
    for (int32_t r = 0; r < num_rows; r++)
        mix_ids(
            width, m, first, heads, num_ids, room->counts + r * counts_size, room->room, room->wide,
            mixed + (size_t)r * m->shape.width
        );
}

#endif
