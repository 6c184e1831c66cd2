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
        float most = 0.0f;
        for (int32_t c = 0; c < width; c++) most = fabsf(k[c]) > most ? fabsf(k[c]) : most;
        const float inverse = most > 0.0f ? 127.0f / most : 0.0f;
        for (int32_t c = 0; c < m->head_groups * 4; c++) {
            const float y = c < width ? k[c] * inverse : 0.0f;
            const int32_t v = (int32_t)(y + (y < 0.0f ? -0.5f : 0.5f));
            to[(c / 4) * 64 + c % 4] = (uint8_t)(v + 128);
        }
        scales[h * padded + place] = most / 127.0f;
    }
}

/* Puts one position's values, `[head][head_width]`, where they belong. */
static void write_value(
    const pm_model *m, void *values, float *scales, int32_t capacity, int32_t place, const float *v
) {
    const size_t padded = rounded_up(capacity, PM_BLOCK);
    const int32_t width = m->head_width, wide = m->value_width;
    for (int32_t h = 0; h < m->shape.heads; h++, v += width) {
        const size_t at = ((size_t)h * capacity + place) * wide;
        if (m->precision == PM_FP32) {
            float *to = (float *)values + at;
            memcpy(to, v, sizeof(float) * width);
            for (int32_t c = width; c < wide; c++) to[c] = 0.0f;
            continue;
        }
        int8_t *to = (int8_t *)values + at;
        float most = 0.0f;
        for (int32_t c = 0; c < width; c++) most = fabsf(v[c]) > most ? fabsf(v[c]) : most;
        const float inverse = most > 0.0f ? 127.0f / most : 0.0f;
        for (int32_t c = 0; c < wide; c++) {
            const float y = c < width ? v[c] * inverse : 0.0f;
            to[c] = (int8_t)(int32_t)(y + (y < 0.0f ? -0.5f : 0.5f));
        }
        scales[h * padded + place] = most / 127.0f;
    }
}

#define AT_ONCE 4 /* blocks of positions */

/* Scores of `blocks` blocks (a constant) from int8 keys; the scale of the query is in `factor`. */
INLINE void scores_int8(
    const int blocks, int32_t groups, const uint8_t *keys, const float *scales, const int8_t *q,
    int32_t offset, float factor, float *scores
) {
    vi acc[AT_ONCE * SUB];
    UNROLL
    for (int b = 0; b < blocks * SUB; b++) acc[b] = splat_int(offset);
    for (int32_t g = 0; g < groups; g++) {
        UNROLL
        for (int b = 0; b < blocks * SUB; b++) {
            const uint8_t *from =
                keys + ((size_t)(b / SUB) * groups + g) * 64 + (b % SUB) * 4 * LANES;
            acc[b] = dot4(acc[b], from, q + 4 * g);
        }
    }
    UNROLL
    for (int b = 0; b < blocks * SUB; b++)
        store(scores + b * LANES, as_float(acc[b]) * load(scales + b * LANES) * splat(factor));
}

INLINE void scores_fp32(
    const int blocks, int32_t width, const float *keys, const float *q, float factor, float *scores
) {
    vf acc[AT_ONCE * SUB];
    UNROLL
    for (int b = 0; b < blocks * SUB; b++) acc[b] = (vf){0};
    for (int32_t c = 0; c < width; c++) {
        const vf a = splat(q[c]);
        UNROLL
        for (int b = 0; b < blocks * SUB; b++) {
            const size_t at = ((size_t)(b / SUB) * width + c) * PM_BLOCK + (b % SUB) * LANES;
            acc[b] += load(keys + at) * a;
        }
    }
    UNROLL
    for (int b = 0; b < blocks * SUB; b++) store(scores + b * LANES, acc[b] * splat(factor));
}

/* Turns scores of `length` positions into weights in place, those beyond it up to a whole block
 * into zeros; returns one over their sum. */
static float soften(float *scores, int32_t length) {
    const int32_t end = (int32_t)rounded_up(length, PM_BLOCK);
    for (int32_t i = length; i < end; i++) scores[i] = -INFINITY;
    vf most = load(scores);
    for (int32_t i = LANES; i < end; i += LANES) most = larger(load(scores + i), most);
    const vf peak = splat(largest_of(most));
    vf sums[2] = {{0}, {0}};
    for (int32_t i = 0; i < end; i += 2 * LANES) {
        const vf first = exponential(load(scores + i) - peak);
        store(scores + i, first);
        sums[0] += first;
#if LANES == 16
        if (i + LANES == end) break;
#endif
        const vf second = exponential(load(scores + i + LANES) - peak);
        store(scores + i + LANES, second);
        sums[1] += second;
    }
    return 1.0f / sum_of(sums[0] + sums[1]);
}

/* Weights of one head's query over `length` positions, not yet divided by their sum. */
static float attend(
    const pm_model *m, const char *keys, const float *scales, int32_t length, const float *q,
    float *scores
) {
    const int32_t blocks = (length + PM_BLOCK - 1) / PM_BLOCK;
    const float root = 1.0f / sqrtf((float)m->head_width);
    int32_t b = 0;
    if (m->precision == PM_INT8) {
        int8_t narrow[1024];
        float scale;
        int32_t offset;
        memset(narrow, 0, m->head_groups * 4);
        quantise_group(q, m->head_width, narrow, &scale, &offset);
        const size_t size = (size_t)m->head_groups * 64;
        const uint8_t *data = (const uint8_t *)keys;
        for (; b + AT_ONCE <= blocks; b += AT_ONCE)
            scores_int8(
                AT_ONCE, m->head_groups, data + b * size, scales + b * PM_BLOCK, narrow, offset,
                scale * root, scores + b * PM_BLOCK
            );
        for (; b < blocks; b++)
            scores_int8(
                1, m->head_groups, data + b * size, scales + b * PM_BLOCK, narrow, offset,
                scale * root, scores + b * PM_BLOCK
            );
    } else {
        const size_t size = (size_t)m->head_width * PM_BLOCK;
        const float *data = (const float *)keys;
        for (; b + AT_ONCE <= blocks; b += AT_ONCE)
            scores_fp32(
                AT_ONCE, m->head_width, data + b * size, q, root, scores + b * PM_BLOCK
            );
        for (; b < blocks; b++)
            scores_fp32(1, m->head_width, data + b * size, q, root, scores + b * PM_BLOCK);
    }
    return soften(scores, length);
}

/* Sum of a head's values by their weights, 64 channels at a time. */
INLINE void mix_some(
    const int blocks, const int is_int8, const void *values, const float *scales, int32_t wide,
    int32_t length, const float *weights, float *y
) {
    vf acc[4 * SUB];
    UNROLL
    for (int b = 0; b < blocks * SUB; b++) acc[b] = (vf){0};
    for (int32_t i = 0; i < length; i++) {
        const vf weight = splat(is_int8 ? weights[i] * scales[i] : weights[i]);
        UNROLL
        for (int b = 0; b < blocks * SUB; b++) {
            const size_t at = (size_t)i * wide + b * LANES;
            acc[b] += weight * (is_int8 ? load_int8((const int8_t *)values + at)
                                        : load((const float *)values + at));
        }
    }
    UNROLL
    for (int b = 0; b < blocks * SUB; b++) store(y + b * LANES, acc[b]);
}

static void mix(
    const pm_model *m, const void *values, const float *scales, int32_t length,
    const float *weights, float *y
) {
    const int32_t wide = m->value_width;
    int32_t c = 0;
    if (m->precision == PM_INT8) {
        const int8_t *data = (const int8_t *)values;
        for (; c + 64 <= wide; c += 64)
            mix_some(4, 1, data + c, scales, wide, length, weights, y + c);
        for (; c < wide; c += 16) mix_some(1, 1, data + c, scales, wide, length, weights, y + c);
    } else {
        const float *data = (const float *)values;
        for (; c + 64 <= wide; c += 64)
            mix_some(4, 0, data + c, scales, wide, length, weights, y + c);
        for (; c < wide; c += 16) mix_some(1, 0, data + c, scales, wide, length, weights, y + c);
    }
}

#endif
