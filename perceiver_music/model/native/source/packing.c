/* Memory for weights, and how they are packed for the kernels. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#if defined(__linux__)
#include <sys/mman.h>
#endif

#include "packing.h"

#define PM_HUGE_PAGE ((size_t)2 << 20)
#define POOL (2 * PM_HUGE_PAGE)

void *pm_get(size_t bytes) {
    void *p = NULL;
    const int is_large = bytes >= PM_HUGE_PAGE;
    if (posix_memalign(&p, is_large ? PM_HUGE_PAGE : 64, bytes ? bytes : 64)) return NULL;
#ifdef MADV_HUGEPAGE
    if (is_large) { /* refused, it only costs time */
        const size_t whole = bytes / PM_HUGE_PAGE * PM_HUGE_PAGE;
        madvise(p, whole, MADV_DONTNEED); /* small pages of who had this memory before */
        madvise(p, whole, MADV_HUGEPAGE);
    }
#endif
    memset(p, 0, bytes);
    return p;
}

/* Zeros from a pool, in which many share a large page. */
void *pm_get_from(pm_pool **pool, size_t bytes) {
    bytes = (bytes + 63) / 64 * 64;
    if (!*pool || (*pool)->size - (*pool)->used < bytes) {
        const size_t size = bytes + 64 > POOL ? bytes + 64 : POOL;
        pm_pool *more = pm_get(size);
        if (!more) return NULL;
        *more = (pm_pool){.before = *pool, .used = 64, .size = size};
        *pool = more;
    }
    (*pool)->used += bytes;
    return (char *)*pool + (*pool)->used - bytes;
}

void pm_free_pool(pm_pool *pool) {
    while (pool) {
        pm_pool *before = pool->before;
        free(pool);
        pool = before;
    }
}

uint16_t pm_nearest_bf16(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

float pm_row_scale(const void *data, int32_t from, size_t at, int32_t n) {
    float most = 0.0f;
    for (int32_t i = 0; i < n; i++) {
        const float a = fabsf(value_at(data, from, at + i));
        most = a > most ? a : most;
    }
    return most / 127.0f;
}

/* Into blocks of 16 outputs; outputs and inputs that fill up a block are zeros. */
int pm_pack(
    pm_pool **pool, pm_linear *w, int32_t precision, const void *data, int32_t from, int32_t out, int32_t in
) {
    w->in = in;
    w->out = out;
    w->in_padded = (in + PM_GROUP - 1) / PM_GROUP * PM_GROUP;
    w->blocks = (out + PM_BLOCK - 1) / PM_BLOCK;
    w->kind = precision == PM_INT8      ? PM_KIND_INT8
              : from == PM_FROM_BF16 ? PM_KIND_BF16
                                     : PM_KIND_FP32;
    const size_t in_kept = w->kind == PM_KIND_INT8 ? w->in_padded : in;
    const size_t size = w->kind == PM_KIND_INT8 ? 1 : w->kind == PM_KIND_BF16 ? 2 : 4;
    w->data = pm_get_from(pool, size * in_kept * w->blocks * PM_BLOCK);
    w->scale = pm_get_from(pool, sizeof(float) * w->blocks * PM_BLOCK);
    if (!w->data || !w->scale) return -1;
    if (w->kind == PM_KIND_INT8) memset(w->data, 128, in_kept * w->blocks * PM_BLOCK);
    for (int32_t o = 0; o < out; o++) {
        const size_t row = (size_t)o * in, block = (size_t)(o / PM_BLOCK) * in_kept * PM_BLOCK;
        const int32_t lane = o % PM_BLOCK;
        if (w->kind != PM_KIND_INT8) {
            for (int32_t i = 0; i < in; i++) {
                const size_t at = block + (size_t)i * PM_BLOCK + lane;
                if (size == 2) ((uint16_t *)w->data)[at] = ((const uint16_t *)data)[row + i];
                else ((float *)w->data)[at] = ((const float *)data)[row + i];
            }
            continue;
        }
        const float scale = w->scale[o] = pm_row_scale(data, from, row, in);
        const float inverse = scale > 0.0f ? 1.0f / scale : 0.0f;
        for (int32_t i = 0; i < in; i++) {
            const int32_t q = (int32_t)lrintf(value_at(data, from, row + i) * inverse);
            ((uint8_t *)w->data)[block + (size_t)(i / 4) * 64 + lane * 4 + i % 4] = q + 128;
        }
    }
    return 0;
}
