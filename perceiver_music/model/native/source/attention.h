/* Attention of one position over keys in blocks of 16 positions. */
#ifndef PM_ATTENTION_H
#define PM_ATTENTION_H

#include "linear.h"

/* Bytes of one head's keys for so many positions. */
INLINE size_t key_bytes(const pm_model *m, int32_t capacity) {
    const size_t blocks = (capacity + PM_BLOCK - 1) / PM_BLOCK;
    const size_t channels = m->precision == PM_INT8 ? m->head_groups * 4 : m->head_width * 4;
    return blocks * PM_BLOCK * channels;
}

/* Puts one position's keys, normed and rotated, `[head][head_width]`, where they belong. */
static void write_key(
    const pm_model *m, void *keys, float *scales, int32_t capacity, int32_t place, const float *k
) {
    const size_t size = key_bytes(m, capacity);
    const size_t padded = rounded_up(capacity, PM_BLOCK);
    const int32_t width = m->head_width, block = place / PM_BLOCK, lane = place % PM_BLOCK;
    for (int32_t h = 0; h < m->shape.heads; h++, k += width) {
        char *head = (char *)keys + h * size;
        if (m->precision == PM_FP32) {
            float *to = (float *)head + (size_t)block * width * PM_BLOCK + lane;
            for (int32_t c = 0; c < width; c++) to[c * PM_BLOCK] = k[c];
            continue;
        }
        uint8_t *to = (uint8_t *)head + (size_t)block * m->head_groups * 64 + lane * 4;
        int8_t q[PM_MOST_HEAD_WIDTH + 4];
        int32_t sum;
        scales[h * padded + place] = quantise_values(k, width, q, &sum);
        memset(q + width, 0, 4);
        for (int32_t g = 0; g < m->head_groups; g++) {
            uint32_t four;
            memcpy(&four, q + 4 * g, 4);
            four ^= 0x80808080u; /* plus 128 each */
            memcpy(to + g * 64, &four, 4);
            ONE_BY_ONE;
        }
    }
}

/* Channels of one head's values, and how they lie: fp32 `[position][channel]`, int8
 * `[position / 4][channel][4]` plus 128, so that four positions are summed at once. */
INLINE size_t value_bytes(const pm_model *m, int32_t capacity) {
    const size_t places = rounded_up(capacity, PM_BLOCK);
    return places * m->value_width * (m->precision == PM_INT8 ? 1 : sizeof(float));
}

/* Puts one position's values, `[head][head_width]`, where they belong. */
static void write_value(
    const pm_model *m, void *values, float *scales, int32_t capacity, int32_t place, const float *v
) {
    const size_t padded = rounded_up(capacity, PM_BLOCK), size = value_bytes(m, capacity);
    const int32_t width = m->head_width, wide = m->value_width;
    for (int32_t h = 0; h < m->shape.heads; h++, v += width) {
        if (m->precision == PM_FP32) {
            float *to = (float *)((char *)values + h * size) + (size_t)place * wide;
            memcpy(to, v, sizeof(float) * width);
            continue;
        }
        uint8_t *to = (uint8_t *)values + h * size + (size_t)(place / 4) * wide * 4 + place % 4;
        int8_t q[PM_MOST_HEAD_WIDTH];
        int32_t sum;
        scales[h * padded + place] = quantise_values(v, width, q, &sum);
        for (int32_t c = 0; c < width; c++) to[4 * c] = (uint8_t)(q[c] + 128);
    }
}

#define AT_ONCE 4 /* blocks of positions */

/* Normed queries and keys have scores of at most the root of the head's width, 32: their
 * exponentials and sums of them fit into floats, so nobody needs to find the largest first. */

/* A head's query as its keys want it. */
typedef struct {
    const float *wide;
    const int8_t *values;
    int32_t offset;
    float factor;
} query;

INLINE query make_query(const pm_model *m, const float *q, int8_t *room) {
    query made = {q, room, 0, LOG2_E / sqrtf((float)m->head_width)};
    if (m->precision == PM_INT8) {
        int32_t sum;
        made.factor *= quantise_values(q, m->head_width, room, &sum);
        made.offset = -128 * sum;
        for (int32_t c = m->head_width; c < m->head_groups * 4; c++) room[c] = 0;
    }
    return made;
}

/* Exponentials of the scores of `blocks` blocks (a constant). */
INLINE void weigh_int8(
    const int blocks, int32_t groups, const uint8_t *keys, const float *scales, const query *q,
    float *weights
) {
    vi acc[AT_ONCE * SUB];
    UNROLL
    for (int b = 0; b < blocks * SUB; b++) acc[b] = splat_int(q->offset);
    for (int32_t g = 0; g < groups; g++) {
        UNROLL
        for (int b = 0; b < blocks * SUB; b++) {
            const uint8_t *from =
                keys + ((size_t)(b / SUB) * groups + g) * 64 + (b % SUB) * 4 * LANES;
            FETCH(from + 2 * AT_ONCE * groups * 64);
            acc[b] = dot4(acc[b], from, fours(q->values + 4 * g));
        }
    }
    UNROLL
    for (int b = 0; b < blocks * SUB; b++) {
        const vf scale = load(scales + b * LANES) * splat(q->factor);
        store(weights + b * LANES, power_of_two(as_float(acc[b]) * scale));
    }
}

INLINE void weigh_fp32(
    const int blocks, int32_t width, const float *keys, const query *q, float *weights
) {
    vf acc[AT_ONCE * SUB];
    UNROLL
    for (int b = 0; b < blocks * SUB; b++) acc[b] = (vf){0};
    for (int32_t c = 0; c < width; c++) {
        const vf a = splat(q->wide[c]);
        UNROLL
        for (int b = 0; b < blocks * SUB; b++) {
            const size_t at = ((size_t)(b / SUB) * width + c) * PM_BLOCK + (b % SUB) * LANES;
            FETCH(keys + at + AT_ONCE * width * PM_BLOCK);
            acc[b] += load(keys + at) * a;
        }
    }
    UNROLL
    for (int b = 0; b < blocks * SUB; b++)
        store(weights + b * LANES, power_of_two(acc[b] * splat(q->factor)));
}

/* Weights, not yet divided by their sum, of so many positions; zeros behind them up to the end of a
 * block. */
static void weigh(
    const pm_model *m, const char *keys, const float *scales, const query *q, int32_t length,
    float *weights
) {
    const int32_t last = (length + PM_BLOCK - 1) / PM_BLOCK;
    const size_t size = key_bytes(m, PM_BLOCK);
    for (int32_t b = 0; b < last;) {
        const int32_t blocks = b + AT_ONCE <= last ? AT_ONCE : 1;
        float *to = weights + b * PM_BLOCK;
        if (m->precision == PM_INT8) {
            const uint8_t *from = (const uint8_t *)keys + b * size;
            const float *scale = scales + b * PM_BLOCK;
            if (blocks > 1) weigh_int8(AT_ONCE, m->head_groups, from, scale, q, to);
            else weigh_int8(1, m->head_groups, from, scale, q, to);
        } else {
            const float *from = (const float *)(keys + b * size);
            if (blocks > 1) weigh_fp32(AT_ONCE, m->head_width, from, q, to);
            else weigh_fp32(1, m->head_width, from, q, to);
        }
        b += blocks;
    }
    for (int32_t i = length; i < last * PM_BLOCK; i++) weights[i] = 0.0f;
}

static float inverse_sum(const float *weights, int32_t length) {
    vf sum = {0};
    for (int32_t i = 0; i < length; i += LANES) sum += load(weights + i);
    return 1.0f / sum_of(sum);
}

/* Sums of rows of `wide` numbers by weights, `blocks` blocks of channels (a constant). */
INLINE void mix_some(
    const int blocks, const int is_bf16, const char *values, int32_t wide, int32_t length,
    const float *weights, float *y
) {
    const float *full = (const float *)values;
    const uint16_t *half = (const uint16_t *)values;
    vf acc[4 * SUB];
    UNROLL
    for (int b = 0; b < blocks * SUB; b++) acc[b] = (vf){0};
    for (int32_t i = 0; i < length; i++) {
        const vf weight = splat(weights[i]);
        UNROLL
        for (int b = 0; b < blocks * SUB; b++) {
            const size_t at = (size_t)i * wide + b * LANES;
            acc[b] += weight * (is_bf16 ? load_bf16(half + at) : load(full + at));
        }
    }
    UNROLL
    for (int b = 0; b < blocks * SUB; b++) store(y + b * LANES, acc[b]);
}

INLINE void mix_rows(
    const int is_bf16, const void *values, int32_t wide, int32_t length, const float *weights,
    float *y
) {
    const int32_t size = is_bf16 ? 2 : 4;
    const char *from = (const char *)values;
    int32_t c = 0;
    for (; c + 64 <= wide; c += 64)
        mix_some(4, is_bf16, from + c * size, wide, length, weights, y + c);
    for (; c < wide; c += 16)
        mix_some(1, is_bf16, from + c * size, wide, length, weights, y + c);
}

/* Weights times scales as integers of 14 bits, in two halves; what one of them is worth. */
typedef struct {
    int8_t *high, *low;
    int32_t high_offset, low_offset; /* -128 times their sums */
    float scale;
} narrow_weights;

static narrow_weights narrow(
    float *weights, const float *scales, int32_t length, int8_t *high, int8_t *low
) {
    const int32_t end = (int32_t)rounded_up(length, PM_BLOCK);
    vf most = {0};
    for (int32_t i = 0; i < end; i += LANES) {
        const vf scaled = load(weights + i) * load(scales + i);
        store(weights + i, scaled);
        most = larger(scaled, most);
    }
    const float peak = largest_of(most);
    const vf inverse = splat(peak > 0.0f ? 16383.0f / peak : 0.0f);
    vi high_sum = {0}, low_sum = {0};
    for (int32_t i = 0; i < end; i += LANES) {
        const vi q = __builtin_convertvector(load(weights + i) * inverse + splat(0.5f), vi);
        const vi top = q >> 7, rest = q & 127;
        high_sum += top;
        low_sum += rest;
        const vb a = __builtin_convertvector(top, vb), b = __builtin_convertvector(rest, vb);
        memcpy(high + i, &a, sizeof a);
        memcpy(low + i, &b, sizeof b);
    }
    int32_t sums[2] = {0, 0};
    for (int i = 0; i < LANES; i++) {
        sums[0] += high_sum[i];
        sums[1] += low_sum[i];
    }
    return (narrow_weights){high, low, -128 * sums[0], -128 * sums[1], peak / 16383.0f};
}

INLINE void mix_some_int8(
    const int blocks, const uint8_t *values, int32_t wide, int32_t length,
    const narrow_weights *w, float *y
) {
    vi high[4 * SUB], low[4 * SUB];
    UNROLL
    for (int b = 0; b < blocks * SUB; b++) {
        high[b] = splat_int(w->high_offset);
        low[b] = splat_int(w->low_offset);
    }
    for (int32_t i = 0; i < length; i += 4) {
        UNROLL
        for (int b = 0; b < blocks * SUB; b++) {
            const uint8_t *from = values + (size_t)i * wide + b * 4 * LANES;
            high[b] = dot4(high[b], from, fours(w->high + i));
            low[b] = dot4(low[b], from, fours(w->low + i));
        }
    }
    UNROLL
    for (int b = 0; b < blocks * SUB; b++)
        store(
            y + b * LANES,
            (as_float(high[b]) * splat(128.0f) + as_float(low[b])) * splat(w->scale)
        );
}

/* Sum of a head's values by their weights, which are used up; `room` holds two bytes a position. */
static void mix(
    const pm_model *m, const void *values, const float *scales, int32_t length, float *weights,
    int8_t *room, float *y
) {
    const int32_t wide = m->value_width;
    if (m->precision == PM_FP32) {
        mix_rows(0, values, wide, length, weights, y);
        return;
    }
    const narrow_weights w =
        narrow(weights, scales, length, room, room + rounded_up(length, PM_BLOCK));
    const uint8_t *data = (const uint8_t *)values;
    int32_t c = 0;
    for (; c + 64 <= wide; c += 64) mix_some_int8(4, data + 4 * c, wide, length, &w, y + c);
    for (; c < wide; c += 16) mix_some_int8(1, data + 4 * c, wide, length, &w, y + c);
}

/* Takes the first real channels of a head out of padded ones. */
INLINE void put_head(const pm_model *m, const float *wide, float inverse, int32_t head, float *y) {
    for (int32_t c = 0; c < m->head_width; c++) y[head * m->head_width + c] = wide[c] * inverse;
}

#endif
