/* Sixteen lanes at a time, whatever the processor's registers hold. */
#ifndef PM_SIMD_H
#define PM_SIMD_H

#include <math.h>
#include <string.h>

#include "engine.h"

#if defined(__AVX512F__)
#define LANES 16
#elif defined(__AVX2__)
#define LANES 8
#else
#define LANES 4
#endif
#define SUB (PM_BLOCK / LANES) /* registers to a block */

#define FETCH(p) __builtin_prefetch(p, 0, 2) /* into the second cache: the first is small */

#define INLINE static inline __attribute__((always_inline))
#if defined(__clang__)
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif

/* In a loop whose few stores lie apart: together, by a scatter, they would take several times as long. */
#define ONE_BY_ONE __asm__ volatile("" ::: "memory")

typedef float vf __attribute__((vector_size(4 * LANES)));
typedef int32_t vi __attribute__((vector_size(4 * LANES)));
typedef int64_t vl __attribute__((vector_size(4 * LANES)));
typedef uint32_t vu __attribute__((vector_size(4 * LANES)));
typedef int8_t vb __attribute__((vector_size(LANES)));
typedef uint16_t vh __attribute__((vector_size(2 * LANES)));

INLINE vf load(const float *p) { vf v; memcpy(&v, p, sizeof v); return v; }
INLINE void store(float *p, vf v) { memcpy(p, &v, sizeof v); }
INLINE vf splat(float x) { return x - (vf){0}; }
INLINE vi splat_int(int32_t x) { return x - (vi){0}; }

INLINE vf load_bf16(const uint16_t *p) {
    vh h;
    memcpy(&h, p, sizeof h);
    return (vf)(__builtin_convertvector(h, vu) << 16);
}

INLINE vf load_int8(const int8_t *p) {
    vb b;
    memcpy(&b, p, sizeof b);
    return __builtin_convertvector(__builtin_convertvector(b, vi), vf);
}

INLINE vf as_float(vi x) { return __builtin_convertvector(x, vf); }

INLINE vf choose(vi mask, vf a, vf b) { return (vf)((mask & (vi)a) | (~mask & (vi)b)); }
INLINE vf larger(vf a, vf b) { return choose(a > b, a, b); }

/* Lanes in their order; the same sum on every path that has the same number of lanes. */
INLINE float sum_of(vf v) {
    float s = 0.0f;
    for (int i = 0; i < LANES; i++) s += v[i];
    return s;
}

INLINE float largest_of(vf v) {
    float left[LANES];
    store(left, v);
    UNROLL
    for (int half = LANES / 2; half > 0; half /= 2)
        for (int i = 0; i < half; i++)
            left[i] = left[i] > left[half + i] ? left[i] : left[half + i];
    return left[0];
}

#define LOG2_E 1.44269504f

/* 2 to the x for x from -126 to 126, to about one unit in the last place. */
INLINE vf power_of_two(vf x) {
    const vf magic = splat(12582912.0f); /* adding it rounds to an integer, in the lowest bits */
    const vf moved = x + magic;
    x -= moved - magic;
    vf y = splat(1.3276472e-3f);
    y = y * x + splat(9.6755415e-3f);
    y = y * x + splat(5.5507133e-2f);
    y = y * x + splat(2.4022120e-1f);
    y = y * x + splat(6.9314697e-1f);
    y = y * x + splat(1.0f);
    return (vf)((vi)y + ((vi)moved << 23));
}

/* Two or four short registers in one. */
#define JOIN_4(a, b) __builtin_shufflevector(a, b, 0, 1, 2, 3, 4, 5, 6, 7)
#define JOIN_8(a, b) \
    __builtin_shufflevector(a, b, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)

/* Four bytes, in every lane. */
INLINE vi fours(const int8_t *p) {
    int32_t four;
    memcpy(&four, p, 4);
    return splat_int(four);
}

/* Sums of four products each, in so many lanes: acc[i] += sum of w[4i + j] * a[4i + j], j below 4.
 * Exact on every path: w is stored plus 128, which the caller takes off again. `dot2` is of two
 * products each, of 16 bits with their signs. */
#if defined(__AVX512VNNI__)
#include <immintrin.h>
INLINE vi dot4(vi acc, const uint8_t *w, vi a) {
    return (vi)_mm512_dpbusd_epi32((__m512i)acc, _mm512_loadu_si512(w), (__m512i)a);
}
INLINE vi dot2(vi acc, vi a, vi b) {
    return (vi)_mm512_dpwssd_epi32((__m512i)acc, (__m512i)a, (__m512i)b);
}
#elif defined(__AVX512BW__)
#include <immintrin.h>
INLINE vi dot4(vi acc, const uint8_t *w, vi a) {
    const __m512i even = _mm512_set1_epi32(0x00ff00ff);
    const __m512i words = _mm512_loadu_si512(w);
    /* Even and odd bytes apart, as 16 bits: their pairwise products then fit exactly. */
    const __m512i a4 = (__m512i)a;
    const __m512i a_even = _mm512_srai_epi16(_mm512_slli_epi16(a4, 8), 8);
    const __m512i a_odd = _mm512_srai_epi16(a4, 8);
    const __m512i low = _mm512_madd_epi16(_mm512_and_si512(words, even), a_even);
    const __m512i high = _mm512_madd_epi16(_mm512_srli_epi16(words, 8), a_odd);
    return (vi)_mm512_add_epi32((__m512i)acc, _mm512_add_epi32(low, high));
}
INLINE vi dot2(vi acc, vi a, vi b) {
    return acc + (vi)_mm512_madd_epi16((__m512i)a, (__m512i)b);
}
#elif defined(__AVX2__)
#include <immintrin.h>
INLINE vi dot4(vi acc, const uint8_t *w, vi a) {
    const __m256i even = _mm256_set1_epi32(0x00ff00ff);
    const __m256i words = _mm256_loadu_si256((const __m256i *)w);
    const __m256i a4 = (__m256i)a;
    const __m256i a_even = _mm256_srai_epi16(_mm256_slli_epi16(a4, 8), 8);
    const __m256i a_odd = _mm256_srai_epi16(a4, 8);
    const __m256i low = _mm256_madd_epi16(_mm256_and_si256(words, even), a_even);
    const __m256i high = _mm256_madd_epi16(_mm256_srli_epi16(words, 8), a_odd);
    return (vi)_mm256_add_epi32((__m256i)acc, _mm256_add_epi32(low, high));
}
INLINE vi dot2(vi acc, vi a, vi b) {
    return acc + (vi)_mm256_madd_epi16((__m256i)a, (__m256i)b);
}
#elif defined(__SSE2__)
#include <emmintrin.h>
INLINE vi dot4(vi acc, const uint8_t *w, vi a) {
    const __m128i even = _mm_set1_epi32(0x00ff00ff);
    const __m128i words = _mm_loadu_si128((const __m128i *)w);
    const __m128i a4 = (__m128i)a;
    const __m128i a_even = _mm_srai_epi16(_mm_slli_epi16(a4, 8), 8);
    const __m128i a_odd = _mm_srai_epi16(a4, 8);
    const __m128i low = _mm_madd_epi16(_mm_and_si128(words, even), a_even);
    const __m128i high = _mm_madd_epi16(_mm_srli_epi16(words, 8), a_odd);
    return (vi)_mm_add_epi32((__m128i)acc, _mm_add_epi32(low, high));
}
INLINE vi dot2(vi acc, vi a, vi b) { return acc + (vi)_mm_madd_epi16((__m128i)a, (__m128i)b); }
#else
INLINE vi dot4(vi acc, const uint8_t *w, vi a) {
    vi words;
    memcpy(&words, w, sizeof words);
    acc += (words & 255) * (a << 24 >> 24) + (words >> 8 & 255) * (a << 16 >> 24);
    return acc + (words >> 16 & 255) * (a << 8 >> 24) + (words >> 24 & 255) * (a >> 24);
}
INLINE vi dot2(vi acc, vi a, vi b) {
    return acc + (a << 16 >> 16) * (b << 16 >> 16) + (a >> 16) * (b >> 16);
}
#endif

#endif
