/* Memory for weights, and how they are packed for the kernels. */
#ifndef PM_PACKING_H
#define PM_PACKING_H

#include <string.h>

#include "api.h"

/* Zeros from a pool, in which many share a large page; NULL when memory is short. */
void *pm_get_from(pm_pool **pool, size_t bytes);
void pm_free_pool(pm_pool *pool);

static inline float value_at(const void *data, int32_t from, size_t i) {
    if (from == PM_FROM_FP32) return ((const float *)data)[i];
    const uint32_t bits = (uint32_t)((const uint16_t *)data)[i] << 16;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

uint16_t pm_nearest_bf16(float value);

/* What one of 127 steps is worth for `n` numbers from `at` on. */
float pm_row_scale(const void *data, int32_t from, size_t at, int32_t n);

/* Into blocks of 16 outputs; not 0 when memory is short. */
int pm_pack(
    pm_pool **pool, pm_linear *w, int32_t precision, const void *data, int32_t from, int32_t out,
    int32_t in
);

#endif
