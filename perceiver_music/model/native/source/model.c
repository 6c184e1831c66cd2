/* A model's weights, rearranged for the kernels. */
#include <stdlib.h>
#include <string.h>

#include "packing.h"

static const struct pm_kernels *const ALL_KERNELS[] = {
#ifdef PM_HAS_AVX512VNNI
    &pm_kernels_avx512vnni,
#endif
#ifdef PM_HAS_AVX512
    &pm_kernels_avx512,
#endif
#ifdef PM_HAS_AVX2
    &pm_kernels_avx2,
#endif
    &pm_kernels_generic,
};
#define NUM_KERNELS ((int32_t)(sizeof ALL_KERNELS / sizeof ALL_KERNELS[0]))

/* Whether this processor, and the system on it, can run those. */
static int is_supported(const struct pm_kernels *kernels) {
    int has_avx2 = 0, has_avx512 = 0, has_vnni = 0;
#if defined(__x86_64__) || defined(__i386__)
    __builtin_cpu_init();
    has_avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    has_avx512 = has_avx2 && __builtin_cpu_supports("avx512f") &&
                 __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
                 __builtin_cpu_supports("avx512vl");
#ifdef PM_HAS_AVX512VNNI /* an older compiler does not know the word */
    has_vnni = has_avx512 && __builtin_cpu_supports("avx512vnni");
#endif
#endif
    if (!strcmp(kernels->name, "avx2")) return has_avx2;
    if (!strcmp(kernels->name, "avx512")) return has_avx512;
    if (!strcmp(kernels->name, "avx512vnni")) return has_vnni;
    return 1;
}

/* The best where no name is given; NULL where there are none of that name. */
static const struct pm_kernels *kernels_named(const char *name) {
    for (int32_t i = 0; i < NUM_KERNELS; i++)
        if (is_supported(ALL_KERNELS[i]) && (!name || !strcmp(name, ALL_KERNELS[i]->name)))
            return ALL_KERNELS[i];
    return NULL;
}

int32_t pm_attend(const pm_attention *a, int32_t from, int32_t to, const char *kernels) {
    const struct pm_kernels *chosen = kernels_named(kernels);
    return chosen ? chosen->attend(a, from, to) : 1;
}

int32_t pm_abi(void) { return PM_ABI; }

const char *pm_sources(void) { return PM_SOURCES; }

const char *pm_kernels_name(int32_t number) {
    for (int32_t i = 0; i < NUM_KERNELS; i++)
        if (is_supported(ALL_KERNELS[i]) && number-- == 0) return ALL_KERNELS[i]->name;
    return NULL;
}

uint64_t pm_read(const void *data, int64_t bytes) {
    const uint64_t *words = data;
    uint64_t sums[16] = {0};
    for (int64_t i = 0; i + 16 <= bytes / 8; i += 16)
        for (int j = 0; j < 16; j++) sums[j] += words[i + j];
    for (int j = 1; j < 16; j++) sums[0] += sums[j];
    return sums[0];
}

pm_model *pm_model_new(const pm_shape *shape, int32_t precision, const char *kernels) {
    pm_model *m = pm_get(sizeof *m);
    if (!m) return NULL;
    m->shape = *shape;
    m->precision = precision;
    m->num_ids = shape->vocabulary * (1 + (shape->gap_embeddings != 0));
    m->head_width = shape->width / shape->heads;
    m->head_groups = (m->head_width + 3) / 4;
    m->turned = 2 * (shape->pairs + shape->time_pairs);
    m->bundle = shape->heads > 4 ? 8 : 4;
    const size_t lanes = precision == PM_INT8 ? (size_t)(m->turned + 3) / 4 : (size_t)m->turned;
    m->kept_bytes = 4 * lanes + 4 + (precision == PM_INT8 ? 2 : 0);
    const int32_t group = PM_BLOCK / m->bundle, units = precision == PM_INT8 ? (m->turned + 3) / 4 : m->turned;
    m->units = (units + group - 1) / group * group;
    m->value_width = (m->head_width + PM_BLOCK - 1) / PM_BLOCK * PM_BLOCK;
    m->kernels = kernels_named(kernels);
    m->blocks = pm_get_from(&m->pool, sizeof(pm_block) * shape->layers);
    if (m->blocks && m->kernels) return m;
    pm_model_free(m);
    return NULL;
}

static float *as_floats(float *to, const void *data, int32_t from, size_t n) {
    for (size_t i = 0; to && i < n; i++) to[i] = value_at(data, from, i);
    return to;
}

static pm_linear *matrix(pm_model *m, int32_t slot, int32_t layer) {
    pm_block *block = slot >= PM_LAYER_QKV && slot <= PM_LAYER_DOWN ? &m->blocks[layer] : &m->cross;
    switch (slot) {
        case PM_CROSS_QUERY: case PM_LAYER_QKV: return &block->qkv;
        case PM_CROSS_OUTPUT: case PM_LAYER_OUTPUT: return &block->output;
        case PM_CROSS_UP: case PM_LAYER_UP: return &block->up;
        case PM_CROSS_DOWN: case PM_LAYER_DOWN: return &block->down;
        case PM_LOGITS: return &m->logits;
        case PM_RATES: return &m->rates;
        default: return NULL;
    }
}

static float **table(pm_model *m, int32_t slot, int32_t layer) {
    switch (slot) {
        case PM_EMBEDDING: return &m->embedding;
        case PM_PREVIOUS: return &m->previous;
        case PM_CONTEXT_KEYS: return &m->raw_keys;
        case PM_CONTEXT_VALUES: return &m->raw_values;
        case PM_VALUE_TABLE: return &m->blocks[layer].value_table;
        case PM_KEY_TERMS: return &m->key_terms;
        case PM_VELOCITY: return &m->velocity_rows;
        case PM_LAST_ONSET: return &m->onset_rows[0];
        case PM_SECOND_ONSET: return &m->onset_rows[1];
        case PM_RATES_BIAS: return &m->rates_bias;
        case PM_AFTER_GAP: return &m->after_gap;
        default: return NULL;
    }
}

int32_t pm_model_set(
    pm_model *m, int32_t slot, int32_t layer, const void *data, int32_t from, int32_t rows,
    int32_t columns
) {
    if (layer < 0 || layer >= m->shape.layers) return -1;
    pm_linear *linear = matrix(m, slot, layer);
    if (linear)
        return pm_pack(&m->pool, linear, slot == PM_RATES ? PM_FP32 : m->precision, data, from, rows, columns);
    float **place = table(m, slot, layer);
    if (!place) return -1;
    const size_t size = (size_t)rows * columns, bytes = sizeof(float) * size;
    const int is_raw = place == &m->raw_keys || place == &m->raw_values;
    *place = as_floats(is_raw ? pm_get(bytes) : pm_get_from(&m->pool, bytes), data, from, size);
    return *place ? 0 : -1;
}

void pm_model_free(pm_model *m) {
    if (!m) return;
    pm_free_pool(m->pool);
    free(m->raw_keys);
    free(m->raw_values);
    free(m);
}
