/* y = W x for a few rows: a weight is read once and used for all of them. */
#ifndef PM_LINEAR_H
#define PM_LINEAR_H

#include "simd.h"

/* Rows of activations in int8: values, and of each group of inputs its scale and -128 times its
 * sum, which takes off the 128 that stored weights have too much. */
typedef struct {
    int8_t *values;
    float *scale;
    int32_t *offset;
    int32_t stride, groups;
} activations;

#define AHEAD 4096 /* bytes that a stream of weights is fetched ahead */

INLINE size_t rounded_up(size_t n, size_t to) { return (n + to - 1) / to * to; }

static void *take(char **scratch, size_t bytes) {
    void *p = *scratch;
    *scratch += rounded_up(bytes, 64);
    return p;
}

/* `n` values times `inverse` to integers; their sum. */
INLINE int32_t to_integers(const float *x, int32_t n, float inverse, int8_t *q) {
    const vf magic = splat(12582912.0f); /* adding it rounds to an integer */
    vi sums = {0};
    int32_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        const vf rounded = (load(x + i) * splat(inverse) + magic) - magic;
        const vi v = __builtin_convertvector(rounded, vi);
        const vb narrow = __builtin_convertvector(v, vb);
        memcpy(q + i, &narrow, sizeof narrow);
        sums += v;
    }
    int32_t total = 0;
    for (int j = 0; j < LANES; j++) total += sums[j];
    for (; i < n; i++) {
        q[i] = (int8_t)rintf(x[i] * inverse);
        total += q[i];
    }
    return total;
}

INLINE float largest_size(const float *x, int32_t n) {
    vf top = {0};
    int32_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        const vf v = load(x + i);
        top = larger(larger(v, -v), top);
    }
    float most = largest_of(top);
    for (; i < n; i++) most = fabsf(x[i]) > most ? fabsf(x[i]) : most;
    return most;
}

/* `n` values to -127..127; returns what one of these is worth, and their sum in `sum`. */
INLINE float quantise_values(const float *x, int32_t n, int8_t *q, int32_t *sum) {
    const float most = largest_size(x, n);
    *sum = to_integers(x, n, most > 0.0f ? 127.0f / most : 0.0f, q);
    return most / 127.0f;
}

/* The same; what one of these is worth is a bf16, at least as large as it must be. */
INLINE uint16_t quantise_key(const float *x, int32_t n, int8_t *q) {
    float worth = largest_size(x, n) / 127.0f;
    uint32_t bits;
    memcpy(&bits, &worth, sizeof bits);
    bits = (bits + 0xffff) & 0xffff0000u;
    memcpy(&worth, &bits, sizeof worth);
    to_integers(x, n, worth > 0.0f ? 1.0f / worth : 0.0f, q);
    return (uint16_t)(bits >> 16);
}

static activations quantise(const pm_linear *w, const float *x, int32_t rows, char **scratch) {
    const int32_t groups = w->in_padded / PM_GROUP;
    activations a = {.stride = w->in_padded, .groups = groups};
    a.values = take(scratch, (size_t)rows * w->in_padded);
    a.scale = take(scratch, sizeof(float) * rows * groups);
    a.offset = take(scratch, sizeof(int32_t) * rows * groups);
    for (int32_t r = 0; r < rows; r++)
        for (int32_t g = 0; g < groups; g++) {
            int8_t *q = a.values + (size_t)r * a.stride + g * PM_GROUP;
            int32_t n = w->in - g * PM_GROUP;
            n = n < PM_GROUP ? n : PM_GROUP;
            const float *from = x + (size_t)r * w->in + g * PM_GROUP;
            int32_t sum;
            if (n < PM_GROUP) memset(q, 0, PM_GROUP);
            a.scale[r * groups + g] = n == PM_GROUP ? quantise_values(from, PM_GROUP, q, &sum)
                                                    : quantise_values(from, n, q, &sum);
            a.offset[r * groups + g] = -128 * sum;
        }
    return a;
}

/* `blocks` blocks of outputs for `rows` rows, both constants where this is inlined. */
INLINE void tile_int8(
    const int rows, const int blocks, const pm_linear *w, int32_t block, const activations *a,
    int32_t row, float *y
) {
    const size_t bytes = (size_t)w->in_padded * PM_BLOCK;
    const uint8_t *data = (const uint8_t *)w->data + block * bytes;
    vf sums[8][8] = {{{0}}};
    for (int32_t g = 0; g < a->groups; g++) {
        vi acc[8][8];
        UNROLL
        for (int r = 0; r < rows; r++) {
            const vi offset = splat_int(a->offset[(row + r) * a->groups + g]);
            UNROLL
            for (int b = 0; b < blocks * SUB; b++) acc[r][b] = offset;
        }
        for (int32_t i = g * PM_GROUP; i < (g + 1) * PM_GROUP; i += 4) {
            UNROLL
            for (int b = 0; b < blocks * SUB; b++) {
                const uint8_t *from =
                    data + (b / SUB) * bytes + (size_t)i * PM_BLOCK + (b % SUB) * 4 * LANES;
                FETCH(from + blocks * bytes); /* of the next tile: its blocks follow these */
                UNROLL
                for (int r = 0; r < rows; r++)
                    acc[r][b] = dot4(
                        acc[r][b], from, fours(a->values + (size_t)(row + r) * a->stride + i)
                    );
            }
        }
        UNROLL
        for (int r = 0; r < rows; r++) {
            const vf scale = splat(a->scale[(row + r) * a->groups + g]);
            UNROLL
            for (int b = 0; b < blocks * SUB; b++) sums[r][b] += as_float(acc[r][b]) * scale;
        }
    }
    UNROLL
    for (int r = 0; r < rows; r++)
        UNROLL
        for (int b = 0; b < blocks * SUB; b++) {
            const size_t out = (size_t)block * PM_BLOCK + b * LANES;
            store(y + r * (size_t)w->blocks * PM_BLOCK + out, sums[r][b] * load(w->scale + out));
        }
}

INLINE void tile_float(
    const int rows, const int blocks, const int is_bf16, const pm_linear *w, int32_t block,
    const float *x, float *y
) {
    const size_t size = (size_t)w->in * PM_BLOCK;
    const float *wide = (const float *)w->data + block * size;
    const uint16_t *narrow = (const uint16_t *)w->data + block * size;
    vf sums[8][8] = {{{0}}};
    for (int32_t i = 0; i < w->in; i++) {
        vf weight[8];
        UNROLL
        for (int b = 0; b < blocks * SUB; b++) {
            const size_t at = (b / SUB) * size + (size_t)i * PM_BLOCK + (b % SUB) * LANES;
            if (is_bf16) FETCH((const char *)(narrow + at) + AHEAD);
            else FETCH((const char *)(wide + at) + AHEAD);
            weight[b] = is_bf16 ? load_bf16(narrow + at) : load(wide + at);
        }
        UNROLL
        for (int r = 0; r < rows; r++) {
            const vf a = splat(x[r * (size_t)w->in + i]);
            UNROLL
            for (int b = 0; b < blocks * SUB; b++) sums[r][b] += weight[b] * a;
        }
    }
    UNROLL
    for (int r = 0; r < rows; r++)
        UNROLL
        for (int b = 0; b < blocks * SUB; b++)
            store(y + r * (size_t)w->blocks * PM_BLOCK + block * PM_BLOCK + b * LANES, sums[r][b]);
}

/* Registers of sums that a tile may have: rows * blocks * SUB. */
#if LANES == 16
#define TILE_1 8
#define TILE_2 4
#define TILE_4 2
#define TILE_8 1
#define MOST_ROWS 8
#elif LANES == 8
#define TILE_1 4
#define TILE_2 2
#define TILE_4 1
#define MOST_ROWS 4
#else
#define TILE_1 2
#define TILE_2 1
#define TILE_4 1
#define MOST_ROWS 4
#endif

#define EACH_TILE(rows, most, call)                              \
    do {                                                         \
        int32_t block = 0;                                       \
        for (; block + most <= w->blocks; block += most) call(rows, most); \
        for (; block < w->blocks; block++) call(rows, 1);        \
    } while (0)

#define INT8_TILE(rows, blocks) tile_int8(rows, blocks, w, block, &a, row, at)
#define FP32_TILE(rows, blocks) tile_float(rows, blocks, 0, w, block, from, at)
#define BF16_TILE(rows, blocks) tile_float(rows, blocks, 1, w, block, from, at)

/* y `[rows][blocks * 16]` = W x; x `[rows][in]`. */
static void linear(const pm_linear *w, const float *x, int32_t rows, float *y, char *scratch) {
    activations a = {0};
    if (w->kind == PM_KIND_INT8) a = quantise(w, x, rows, &scratch);
    const size_t stride = (size_t)w->blocks * PM_BLOCK;
    for (int32_t row = 0; row < rows;) {
        const int32_t left = rows - row;
        float *at = y + row * stride;
        const float *from = x + (size_t)row * w->in;
        int32_t done;
#define ALL_KINDS(n, most)                                              \
    do {                                                                \
        done = n;                                                       \
        if (w->kind == PM_KIND_INT8) EACH_TILE(n, most, INT8_TILE);     \
        else if (w->kind == PM_KIND_BF16) EACH_TILE(n, most, BF16_TILE); \
        else EACH_TILE(n, most, FP32_TILE);                             \
    } while (0)
#if MOST_ROWS >= 8
        if (left >= 8) ALL_KINDS(8, TILE_8);
        else
#endif
        if (left >= 4) ALL_KINDS(4, TILE_4);
        else if (left >= 2) ALL_KINDS(2, TILE_2);
        else ALL_KINDS(1, TILE_1);
        row += done;
    }
}

#endif
