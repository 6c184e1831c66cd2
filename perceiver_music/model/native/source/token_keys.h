/* Keys that are their tokens' alone, turned by their places: none is kept.
 *
 * A pair of channels is a complex number, and turning a multiplication. A query's product with a
 * key turned by an angle is the real part of `query * conjugate(key) * conjugate(angle)`: the first
 * two are made once for every id, the last is the same for all heads. So all that a position needs
 * is its id and its angles, of each pair a cosine and a sine.
 *
 * Both are read in units of 32 bits: in int8 two pairs, their products plus 128, in fp32 half a
 * pair. Lanes are [head][unit], as many units as fill 16 with all heads of a bundle.
 */
#ifndef PM_TOKEN_KEYS_H
#define PM_TOKEN_KEYS_H

#include "bundle.h"

#define MOST_ANGLE 127.0f    /* a cosine of one */
#define MOST_KEY 32767.0f    /* the longest pair of all ids */
#define MOST_FACTOR 32255.0f /* of queries: products are up to 126 times 2 to the PRODUCT_BITS */
#define PRODUCT_BITS 23
#define POSITIONS 8          /* whose sums are added up side by side; more lack registers */
#define ANGLES_AHEAD 2048    /* bytes */

/* Keeps the angles of a window's last position. */
static void write_angles(
    const pm_model *m, const pm_window *w, int32_t place, const float *cosines, const float *sines
) {
    const int32_t pairs = m->turned / 2;
    int32_t *units = (int32_t *)w->keys + (size_t)place * m->units;
    if (m->precision == PM_FP32) {
        for (int32_t i = 0; i < pairs; i++) {
            ((float *)units)[2 * i] = cosines[i];
            ((float *)units)[2 * i + 1] = sines[i];
        }
        return;
    }
    int32_t sum = 0;
    for (int32_t i = 0; i < pairs; i++) {
        const int32_t c = (int32_t)rintf(cosines[i] * MOST_ANGLE);
        const int32_t s = (int32_t)rintf(sines[i] * MOST_ANGLE);
        ((int8_t *)units)[2 * i] = (int8_t)c;
        ((int8_t *)units)[2 * i + 1] = (int8_t)s;
        sum += c + s;
    }
    /* Every one of a head's lanes takes its share off, which is kept beside the id. */
    const int32_t offset = -128 / (PM_BLOCK / m->bundle) * sum;
    memcpy(w->rows + (size_t)place * 4 + 2, &offset, sizeof offset);
}

/* Two numbers of 16 bits in one of 32. */
INLINE int32_t join_16(float low, float high) {
    return (int32_t)((uint32_t)(uint16_t)(int32_t)rintf(low) | (uint32_t)(int32_t)rintf(high) << 16);
}

/* How the keys of a head's ids are multiplied by its query, `[part][unit]`, `size` units to a part;
 * what one of the sums over turned products is worth. */
INLINE float lay_out_query(
    const int width, const pm_model *m, int32_t head, const float *q, size_t size, void *factors
) {
    const int32_t pairs = m->turned / 2;
    const float worth = LOG2_E / sqrtf((float)m->head_width);
    if (m->precision == PM_FP32) {
        float *first = factors, *second = first + size;
        for (int32_t i = 0; i < pairs; i++) {
            const size_t c = pm_unit_at(width, head, 2 * i), s = pm_unit_at(width, head, 2 * i + 1);
            first[c] = q[i];
            first[s] = second[c] = q[pairs + i];
            second[s] = -q[i];
        }
        return worth;
    }
    const float *most = m->turned_most + (size_t)head * pairs;
    float largest = 1e-20f;
    for (int32_t i = 0; i < pairs; i++) {
        const float length = sqrtf(q[i] * q[i] + q[pairs + i] * q[pairs + i]) * most[i];
        largest = length > largest ? length : largest;
    }
    const float scale = MOST_FACTOR / largest;
    for (int32_t i = 0; i < pairs; i++) {
        int32_t *to = (int32_t *)factors + i % 2 * 2 * size + pm_unit_at(width, head, i / 2);
        const float real = q[i] * most[i] * scale, other = q[pairs + i] * most[i] * scale;
        to[0] = join_16(real, other);
        to[size] = join_16(other, -real);
    }
    return worth * (1 << PRODUCT_BITS) / (MOST_KEY * scale * MOST_ANGLE);
}

/* The products of two pairs' keys, as bytes. */
INLINE vu multiply_pairs(const int32_t *keys, const int32_t *factors, size_t size) {
    const vi half = splat_int((128 << PRODUCT_BITS) + (1 << (PRODUCT_BITS - 1)));
    vu parts[4];
    UNROLL
    for (int i = 0; i < 4; i++) {
        vi key, factor;
        memcpy(&key, keys + i / 2 * size, sizeof key);
        memcpy(&factor, factors + i * size, sizeof factor);
        parts[i] = (vu)dot2(half, key, factor);
    }
    return parts[0] >> PRODUCT_BITS | (parts[1] >> (PRODUCT_BITS - 8) & 0xff00u) |
           (parts[2] >> (PRODUCT_BITS - 16) & 0xff0000u) | (parts[3] << 1 & 0xff000000u);
}

/* A query's products with the keys of all ids, not yet turned: `[id][unit]`. */
static void multiply_ids(
    const pm_model *m, int32_t bundle, int32_t num_ids, const void *factors, int32_t *products
) {
    const size_t size = (size_t)m->units * m->bundle;
    const int32_t *keys = (const int32_t *)m->turned_rows + bundle * m->num_ids * size * 2;
    for (int32_t id = 0; id < num_ids; id++, keys += 2 * size, products += size)
        for (size_t at = 0; at < size; at += LANES) {
            if (m->precision == PM_INT8) {
                const vu both = multiply_pairs(keys + at, (const int32_t *)factors + at, size);
                memcpy(products + at, &both, sizeof both);
                continue;
            }
            const float *key = (const float *)keys + at, *factor = (const float *)factors + at;
            store(
                (float *)products + at,
                load(key) * load(factor) + load(key + size) * load(factor + size)
            );
        }
}

/* Some units in all lanes, again and again. */
INLINE vi repeat(const int units, const int32_t *from) {
    if (units == 2) {
        int64_t two;
        memcpy(&two, from, sizeof two);
        return (vi)(two - (vl){0});
    }
    v4 four;
    memcpy(&four, from, sizeof four);
#if LANES == 16
    return (vi)_mm512_broadcast_f32x4((__m128)four);
#elif LANES == 8
    return (vi)JOIN_4(four, four);
#else
    return (vi)four;
#endif
}

#if LANES == 16
#define EVEN(a, b) __builtin_shufflevector( \
    a, b, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30)
#define ODD(a, b) __builtin_shufflevector( \
    a, b, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31)
#elif LANES == 8
#define EVEN(a, b) __builtin_shufflevector(a, b, 0, 2, 4, 6, 8, 10, 12, 14)
#define ODD(a, b) __builtin_shufflevector(a, b, 1, 3, 5, 7, 9, 11, 13, 15)
#else
#define EVEN(a, b) __builtin_shufflevector(a, b, 0, 2, 4, 6)
#define ODD(a, b) __builtin_shufflevector(a, b, 1, 3, 5, 7)
#endif

/* Sums of neighbouring lanes, those of the first register first. */
INLINE vi fold(const int is_float, vi a, vi b) {
    if (is_float) return (vi)((vf)EVEN(a, b) + (vf)ODD(a, b));
    return EVEN(a, b) + ODD(a, b);
}

/* Adds the products of some units of so many positions, of all heads. */
INLINE void add_units(
    const int group, const int positions, const int is_float, const int32_t *const *products,
    const int32_t *const *angles, int32_t unit, vi *sums
) {
    UNROLL
    for (int p = 0; p < positions; p++) {
        const vi angle = repeat(group, angles[p] + unit);
        const int32_t *from = products[p] + (size_t)unit * (PM_BLOCK / group);
        UNROLL
        for (int s = 0; s < SUB; s++, from += LANES) {
            vi *sum = &sums[p * SUB + s];
            if (is_float) *sum = (vi)((vf)*sum + load((const float *)from) * (vf)angle);
            else *sum = dot4(*sum, (const uint8_t *)from, angle);
        }
    }
}

/* Sums over the units of `blocks` times as many positions as fill 16 lanes with all heads:
 * `[position][head]`. Many at once: one after the other, each would wait for its own sum. */
INLINE void turn_positions(
    const int width, const int blocks, const int is_float, int32_t units, const int32_t *products,
    const uint16_t *rows, const int32_t *angles, vf *sums
) {
    const int group = PM_BLOCK / width, positions = blocks * group;
    const int32_t *from[POSITIONS], *at[POSITIONS];
    vi acc[POSITIONS * SUB];
    UNROLL
    for (int p = 0; p < positions; p++) {
        from[p] = products + (size_t)rows[4 * p] * units * width;
        at[p] = angles + (size_t)p * units;
        int32_t offset = 0;
        if (!is_float) memcpy(&offset, rows + 4 * p + 2, sizeof offset);
        UNROLL
        for (int s = 0; s < SUB; s++) acc[p * SUB + s] = splat_int(offset);
    }
    if (units == 8) {
        UNROLL
        for (int u = 0; u < 8; u += group) add_units(group, positions, is_float, from, at, u, acc);
    } else
        for (int32_t u = 0; u < units; u += group)
            add_units(group, positions, is_float, from, at, u, acc);
    UNROLL
    for (int left = positions * SUB; left > blocks * SUB; left /= 2)
        UNROLL
        for (int i = 0; i < left / 2; i++) acc[i] = fold(is_float, acc[2 * i], acc[2 * i + 1]);
    UNROLL
    for (int b = 0; b < blocks * SUB; b++) sums[b] = is_float ? (vf)acc[b] : as_float(acc[b]);
}

/* Adds the weights of some positions to those of their ids. */
INLINE void weigh_some(
    const int width, const int positions, const int is_float, const int32_t units,
    const pm_window *window, int32_t start, int32_t length, const float *worth, const float *still,
    const int32_t *products, float *counts
) {
    const int blocks = positions * width / PM_BLOCK;
    __attribute__((aligned(64))) float weights[POSITIONS * MOST_BUNDLE];
    const uint16_t *rows = window->rows + (size_t)start * 4;
    const int32_t *angles = (const int32_t *)window->keys + (size_t)start * units;
    vf sums[POSITIONS * MOST_BUNDLE / LANES];
    for (int i = 0; i < positions * units; i += 16) FETCH((const char *)(angles + i) + ANGLES_AHEAD);
    turn_positions(width, blocks, is_float, units, products, rows, angles, sums);
    UNROLL
    for (int b = 0; b < blocks * SUB; b++) {
        const int lane = b * LANES, part = lane % width / LANES;
        const vf same = look_up(width, part, still, rows + (size_t)(lane / width) * 4);
        store(weights + lane, power_of_two(sums[b] * load(worth + lane % PM_BLOCK) + same));
    }
    add_by_id(width, weights, width, rows, length, counts);
}

/* Adds up the weights of all positions that a row sees by their ids. */
INLINE void weigh_positions(
    const int width, const int is_float, const int32_t units, const pm_row *row,
    const float *worth, const float *still, const int32_t *products, float *counts
) {
    const int group = PM_BLOCK / width, many = LANES == 16 ? POSITIONS : group;
    const int32_t length = row->index + 1;
    int32_t start = 0;
    for (; start + many <= length; start += many)
        weigh_some(
            width, many, is_float, units, row->window, start, many, worth, still, products, counts
        );
    for (; start < length; start += group)
        weigh_some(
            width, group, is_float, units, row->window, start, least(group, length - start), worth,
            still, products, counts
        );
}

/* The same, from a row's queries. */
INLINE void weigh_tokens(
    const int width, const pm_model *m, const pm_row *row, int32_t number, int32_t bundle,
    const context_room *room, const float *queries
) {
    const size_t size = (size_t)m->units * width;
    __attribute__((aligned(64))) char factors[4 * size * sizeof(float)]; /* fp32 needs half of it */
    float worth[PM_BLOCK] = {0};
    memset(factors, 0, sizeof factors);
    for (int32_t h = 0; h < heads_of(m, bundle); h++) {
        const float *q = queries + h * m->head_width;
        const float one = lay_out_query(width, m, bundle * width + h, q, size, factors);
        for (int lane = h; lane < PM_BLOCK; lane += width) worth[lane] = one;
    }
    multiply_ids(m, bundle, row->window->num_ids, factors, room->turned);
    const float *still = products_of(m, room, number);
    float *counts = counts_of(m, row->window, room, number);
    if (m->precision == PM_FP32)
        weigh_positions(width, 1, m->units, row, worth, still, room->turned, counts);
    else if (m->units == 8)
        weigh_positions(width, 0, 8, row, worth, still, room->turned, counts);
    else
        weigh_positions(width, 0, m->units, row, worth, still, room->turned, counts);
}

#endif
