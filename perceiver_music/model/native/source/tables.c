/* What is computed from weights once: the context's tables of all its ids, and turns. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "packing.h"

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
    int failed = pm_pack(&pool, &w, PM_FP32, weights, PM_FROM_FP32, width, width);
    const size_t stride = (size_t)w.blocks * PM_BLOCK;
    float *y = pm_get(sizeof(float) * stride * rows);
    if (!failed && y) {
        m->kernels->linear(&w, normed, rows, y, NULL);
        for (int32_t t = 0; t < rows; t++)
            memcpy(to + (size_t)t * width, y + t * stride, sizeof(float) * width);
    }
    failed |= !y;
    free(y);
    pm_free_pool(pool);
    return failed;
}

/* What one position on, and so many steps of time on, turn each pair of channels by. */
static int make_turns(pm_model *m) {
    const pm_shape *s = &m->shape;
    const int32_t shifts = s->events ? s->num_shifts + 1 : 1;
    m->step_cos = pm_get_from(&m->pool, sizeof(double) * s->pairs);
    m->step_sin = pm_get_from(&m->pool, sizeof(double) * s->pairs);
    m->shift_cos = pm_get_from(&m->pool, sizeof(double) * shifts * s->time_pairs);
    m->shift_sin = pm_get_from(&m->pool, sizeof(double) * shifts * s->time_pairs);
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
    *scale = pm_row_scale(from, PM_FROM_FP32, 0, channels);
    const float inverse = *scale > 0.0f ? 1.0f / *scale : 0.0f;
    for (int32_t c = 0; c < channels; c++)
        ((uint8_t *)block)[(c / 4 * PM_BLOCK + lane) * 4 + c % 4] = lrintf(from[c] * inverse) + 128;
}

/* Rows in lanes, a bundle of heads of each side by side: see bundle.h. */
static int make_key_table(pm_model *m) {
    const int32_t bundles = (m->shape.heads + m->bundle - 1) / m->bundle;
    const int32_t channels = m->head_width - m->turned;
    const size_t size = 64 * (size_t)(m->precision == PM_INT8 ? (channels + 3) / 4 : channels);
    m->table_rows = (m->num_key_rows + PM_BLOCK - 1) / PM_BLOCK * PM_BLOCK;
    const size_t lanes = (size_t)m->table_rows * m->bundle;
    m->key_table = pm_get_from(&m->pool, size * bundles * lanes / PM_BLOCK);
    m->key_table_scale = pm_get_from(&m->pool, sizeof(float) * bundles * lanes);
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

/* Puts a pair of channels of a head of an id where it belongs: see token_keys.h. */
static void fill_pair(const pm_model *m, size_t row, int32_t head, int32_t pair, float a, float b) {
    const size_t size = (size_t)m->units * m->bundle;
    const int32_t is_wide = m->precision == PM_FP32;
    for (int32_t unit = is_wide ? 2 * pair : pair / 2, last = unit + is_wide; unit <= last; unit++) {
        const size_t at = pm_unit_at(m->bundle, head, unit);
        if (is_wide) {
            float *to = (float *)m->turned_rows + row * 2 * size + at;
            to[0] = a;
            to[size] = b;
        } else {
            const float most = m->turned_most[head * m->turned / 2 + pair];
            const float scale = most > 0.0f ? 32767.0f / most : 0.0f;
            int16_t *to = (int16_t *)((int32_t *)m->turned_rows + (row * 2 + pair % 2) * size + at);
            to[0] = (int16_t)lrintf(a * scale);
            to[1] = (int16_t)lrintf(b * scale);
        }
    }
}

/* What turns of keys that are their ids' alone. */
static int make_turned_table(pm_model *m) {
    const int32_t heads = m->shape.heads, pairs = m->turned / 2;
    const size_t bundles = (heads + m->bundle - 1) / m->bundle, size = (size_t)m->units * m->bundle;
    m->turned_rows = pm_get_from(&m->pool, 8 * bundles * m->num_ids * size);
    m->turned_most = pm_get_from(&m->pool, sizeof(float) * heads * pairs);
    if (!m->turned_rows || !m->turned_most) return -1;
    for (int32_t fills = 0; fills < 2; fills++) /* sizes come first */
        for (int32_t id = 0; id < m->num_ids; id++)
            for (int32_t h = 0; h < heads; h++) {
                const float *from = m->key_rows + (size_t)id * m->shape.width + h * m->head_width;
                const size_t row = (size_t)h / m->bundle * m->num_ids + id;
                for (int32_t i = 0; i < pairs; i++) {
                    const float a = from[i], b = from[pairs + i], length = sqrtf(a * a + b * b);
                    float *most = &m->turned_most[h * pairs + i];
                    if (fills) fill_pair(m, row, h, i, a, b);
                    else *most = length > *most ? length : *most;
                }
            }
    return 0;
}

/* The values of all ids, head by head, as they are summed: from `[id][width]`. */
static int make_value_table(pm_model *m, const float *flat) {
    const size_t heads = m->shape.heads, ids = m->num_ids, wide = m->value_width;
    const int is_wide = m->precision == PM_FP32;
    m->value_rows = pm_get_from(&m->pool, (is_wide ? 4 : 2) * heads * ids * wide);
    if (!m->value_rows) return -1;
    for (size_t h = 0; h < heads; h++)
        for (size_t id = 0; id < ids; id++)
            for (int32_t c = 0; c < m->head_width; c++) {
                const float value = flat[id * m->shape.width + h * m->head_width + c];
                const size_t at = (h * ids + id) * wide + c;
                if (is_wide) ((float *)m->value_rows)[at] = value;
                else ((uint16_t *)m->value_rows)[at] = pm_nearest_bf16(value);
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
    m->key_rows = pm_get_from(&m->pool, sizeof(float) * m->num_key_rows * width);
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
        if (!s->neighbours) norm_rows(m->key_rows, (int32_t)ids * s->heads, m->head_width);
        for (size_t i = 0; i < (size_t)num_neighbours * width; i++)
            m->key_rows[ids * width + i] = value_at(neighbours, from, i);
    }
    free(flat);
    free(normed);
    free(m->raw_keys);
    free(m->raw_values);
    m->raw_keys = m->raw_values = NULL;
    failed = failed || make_key_table(m) || (!s->neighbours && make_turned_table(m));
    return failed ? -1 : 0;
}
