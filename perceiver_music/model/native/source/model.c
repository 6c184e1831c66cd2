/* A model's weights, rearranged for the kernels. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#if defined(__linux__)
#include <sys/mman.h>
#endif

#include "api.h"

#define PM_HUGE_PAGE ((size_t)2 << 20)
#define POOL (2 * PM_HUGE_PAGE)

static const struct pm_kernels *const ALL_KERNELS[] = {
#ifdef PM_X86
    &pm_kernels_avx512vnni, &pm_kernels_avx512, &pm_kernels_avx2,
#endif
    &pm_kernels_generic,
};
#define NUM_KERNELS ((int32_t)(sizeof ALL_KERNELS / sizeof ALL_KERNELS[0]))

/* Whether this processor, and the system on it, can run those. */
static int is_supported(const struct pm_kernels *kernels) {
#ifdef PM_X86
    __builtin_cpu_init();
    const int has_avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    const int has_avx512 = has_avx2 && __builtin_cpu_supports("avx512f") &&
                           __builtin_cpu_supports("avx512bw") &&
                           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
    if (kernels == &pm_kernels_avx2) return has_avx2;
    if (kernels == &pm_kernels_avx512) return has_avx512;
    if (kernels == &pm_kernels_avx512vnni)
        return has_avx512 && __builtin_cpu_supports("avx512vnni");
#endif
    return kernels == &pm_kernels_generic;
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
static void *get_from(pm_pool **pool, size_t bytes) {
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

static void free_pool(pm_pool *pool) {
    while (pool) {
        pm_pool *before = pool->before;
        free(pool);
        pool = before;
    }
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
    m->record_bytes = m->bundle * (64 * lanes + 64 + (precision == PM_INT8 ? 32 : 0));
    m->value_width = (m->head_width + PM_BLOCK - 1) / PM_BLOCK * PM_BLOCK;
    m->kernels = kernels_named(kernels);
    m->blocks = get_from(&m->pool, sizeof(pm_block) * shape->layers);
    if (m->blocks && m->kernels) return m;
    pm_model_free(m);
    return NULL;
}

static float value_at(const void *data, int32_t from, size_t i) {
    if (from == PM_FROM_FP32) return ((const float *)data)[i];
    const uint32_t bits = (uint32_t)((const uint16_t *)data)[i] << 16;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static uint16_t nearest_bf16(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

static float *as_floats(float *to, const void *data, int32_t from, size_t n) {
    for (size_t i = 0; to && i < n; i++) to[i] = value_at(data, from, i);
    return to;
}

static float row_scale(const void *data, int32_t from, size_t at, int32_t n) {
    float most = 0.0f;
    for (int32_t i = 0; i < n; i++) {
        const float a = fabsf(value_at(data, from, at + i));
        most = a > most ? a : most;
    }
    return most / 127.0f;
}

/* Into blocks of 16 outputs; outputs and inputs that fill up a block are zeros. */
static int pack(
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
    w->data = get_from(pool, size * in_kept * w->blocks * PM_BLOCK);
    w->scale = get_from(pool, sizeof(float) * w->blocks * PM_BLOCK);
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
        const float scale = w->scale[o] = row_scale(data, from, row, in);
        const float inverse = scale > 0.0f ? 1.0f / scale : 0.0f;
        for (int32_t i = 0; i < in; i++) {
            const int32_t q = (int32_t)lrintf(value_at(data, from, row + i) * inverse);
            ((uint8_t *)w->data)[block + (size_t)(i / 4) * 64 + lane * 4 + i % 4] = q + 128;
        }
    }
    return 0;
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
        return pack(&m->pool, linear, slot == PM_RATES ? PM_FP32 : m->precision, data, from, rows, columns);
    float **place = table(m, slot, layer);
    if (!place) return -1;
    const size_t size = (size_t)rows * columns, bytes = sizeof(float) * size;
    const int is_raw = place == &m->raw_keys || place == &m->raw_values;
    *place = as_floats(is_raw ? pm_get(bytes) : get_from(&m->pool, bytes), data, from, size);
    return *place ? 0 : -1;
}

static void norm_rows(float *x, int32_t rows, int32_t width) {
    for (int32_t r = 0; r < rows; r++, x += width) {
        double sum = 0.0;
        for (int32_t c = 0; c < width; c++) sum += (double)x[c] * x[c];
        const float scale = (float)(1.0 / sqrt(sum / width + 1e-6));
        for (int32_t c = 0; c < width; c++) x[c] *= scale;
    }
}

/* A matrix applied to every id's normed embedding: rows `to` of a table. */
static int project(const pm_model *m, const float *weights, const float *normed, float *to) {
    const int32_t width = m->shape.width, rows = m->num_ids;
    pm_pool *pool = NULL;
    pm_linear w = {0};
    int failed = pack(&pool, &w, PM_FP32, weights, PM_FROM_FP32, width, width);
    const size_t stride = (size_t)w.blocks * PM_BLOCK;
    float *y = pm_get(sizeof(float) * stride * rows);
    if (!failed && y) {
        m->kernels->linear(&w, normed, rows, y, NULL);
        for (int32_t t = 0; t < rows; t++)
            memcpy(to + (size_t)t * width, y + t * stride, sizeof(float) * width);
    }
    failed |= !y;
    free(y);
    free_pool(pool);
    return failed;
}

/* What one position on, and so many steps of time on, turn each pair of channels by. */
static int make_turns(pm_model *m) {
    const pm_shape *s = &m->shape;
    const int32_t shifts = s->events ? s->num_shifts + 1 : 1;
    m->step_cos = get_from(&m->pool, sizeof(double) * s->pairs);
    m->step_sin = get_from(&m->pool, sizeof(double) * s->pairs);
    m->shift_cos = get_from(&m->pool, sizeof(double) * shifts * s->time_pairs);
    m->shift_sin = get_from(&m->pool, sizeof(double) * shifts * s->time_pairs);
    if (!m->step_cos || !m->step_sin || !m->shift_cos || !m->shift_sin) return -1;
    for (int32_t i = 0; i < s->pairs; i++) {
        const double share = s->pairs > 1 ? (double)i / (s->pairs - 1) : 0.0;
        const double angle = pow(s->max_wavelength, -share);
        m->step_cos[i] = cos(angle);
        m->step_sin[i] = sin(angle);
    }
    for (int32_t steps = 0; steps < shifts; steps++)
        for (int32_t i = 0; i < s->time_pairs; i++) {
            const double share = s->time_pairs > 1 ? (double)i / (s->time_pairs - 1) : 0.0;
            const double angle = steps * pow(s->max_wavelength, -share);
            m->shift_cos[steps * s->time_pairs + i] = cos(angle);
            m->shift_sin[steps * s->time_pairs + i] = sin(angle);
        }
    return 0;
}

/* Fills a lane of the table of what never turns: a head of a row. */
static void fill_lane(const pm_model *m, const float *from, char *block, int32_t lane, float *scale) {
    const int32_t channels = m->head_width - m->turned;
    *scale = 1.0f;
    if (m->precision == PM_FP32) {
        for (int32_t c = 0; c < channels; c++) ((float *)block)[c * PM_BLOCK + lane] = from[c];
        return;
    }
    *scale = row_scale(from, PM_FROM_FP32, 0, channels);
    const float inverse = *scale > 0.0f ? 1.0f / *scale : 0.0f;
    for (int32_t c = 0; c < channels; c++)
        ((uint8_t *)block)[(c / 4 * PM_BLOCK + lane) * 4 + c % 4] = lrintf(from[c] * inverse) + 128;
}

/* Rows in lanes, as a context's keys are: see context.h. */
static int make_key_table(pm_model *m) {
    const int32_t bundles = (m->shape.heads + m->bundle - 1) / m->bundle;
    const int32_t channels = m->head_width - m->turned;
    const size_t size = 64 * (size_t)(m->precision == PM_INT8 ? (channels + 3) / 4 : channels);
    m->table_rows = (m->num_key_rows + PM_BLOCK - 1) / PM_BLOCK * PM_BLOCK;
    const size_t lanes = (size_t)m->table_rows * m->bundle;
    m->key_table = get_from(&m->pool, size * bundles * lanes / PM_BLOCK);
    m->key_table_scale = get_from(&m->pool, sizeof(float) * bundles * lanes);
    if (!m->key_table || !m->key_table_scale) return -1;
    for (int32_t row = 0; row < m->num_key_rows; row++)
        for (int32_t h = 0; h < m->shape.heads; h++) {
            const size_t at = h / m->bundle * lanes + (size_t)row * m->bundle + h % m->bundle;
            const float *from = m->key_rows + (size_t)row * m->shape.width + h * m->head_width;
            char *block = (char *)m->key_table + at / PM_BLOCK * size;
            fill_lane(m, from + m->turned, block, at % PM_BLOCK, m->key_table_scale + at);
        }
    return 0;
}

/* The values of all ids, head by head, as they are summed: from `[id][width]`. */
static int make_value_table(pm_model *m, const float *flat) {
    const size_t heads = m->shape.heads, ids = m->num_ids, wide = m->value_width;
    const int is_wide = m->precision == PM_FP32;
    m->value_rows = get_from(&m->pool, (is_wide ? 4 : 2) * heads * ids * wide);
    if (!m->value_rows) return -1;
    for (size_t h = 0; h < heads; h++)
        for (size_t id = 0; id < ids; id++)
            for (int32_t c = 0; c < m->head_width; c++) {
                const float value = flat[id * m->shape.width + h * m->head_width + c];
                const size_t at = (h * ids + id) * wide + c;
                if (is_wide) ((float *)m->value_rows)[at] = value;
                else ((uint16_t *)m->value_rows)[at] = nearest_bf16(value);
            }
    return 0;
}

/* Makes the context's tables of all its ids, once all weights are there; `neighbours` are what is
 * added to keys. */
int32_t pm_model_finish(pm_model *m, const void *neighbours, int32_t from, int32_t num_neighbours) {
    const pm_shape *s = &m->shape;
    const int32_t width = s->width;
    const size_t ids = m->num_ids, plain = (size_t)s->vocabulary * width;
    m->num_key_rows = m->num_ids + num_neighbours;
    m->key_rows = get_from(&m->pool, sizeof(float) * m->num_key_rows * width);
    float *flat = pm_get(sizeof(float) * ids * width);
    float *normed = pm_get(sizeof(float) * ids * width);
    int failed = !m->key_rows || !flat || !normed || make_turns(m);
    if (!failed) {
        for (size_t i = plain; i < ids * width; i++)
            normed[i] = m->embedding[i - plain] + m->after_gap[i - plain];
        norm_rows(normed + plain, (int32_t)ids - s->vocabulary, width);
        norm_rows(m->embedding, s->vocabulary, width);
        memcpy(normed, m->embedding, sizeof(float) * plain);
        norm_rows(normed, (int32_t)ids, width);
        failed = project(m, m->raw_keys, normed, m->key_rows) ||
                 project(m, m->raw_values, normed, flat) || make_value_table(m, flat);
        for (size_t i = 0; i < (size_t)num_neighbours * width; i++)
            m->key_rows[ids * width + i] = value_at(neighbours, from, i);
    }
    free(flat);
    free(normed);
    free(m->raw_keys);
    free(m->raw_values);
    m->raw_keys = m->raw_values = NULL;
    return failed || make_key_table(m) ? -1 : 0;
}

void pm_model_free(pm_model *m) {
    if (!m) return;
    free_pool(m->pool);
    free(m->raw_keys);
    free(m->raw_values);
    free(m);
}
