/* The context: what it gives its latents.
 *
 * A key that is its token's alone needs not be kept at all: token_keys.h. One that knows its
 * neighbours, too, is kept as far as it turns: kept_keys.h.
 */
#ifndef PM_CONTEXT_H
#define PM_CONTEXT_H

#include "kept_keys.h"
#include "token_keys.h"

/* Sums of the table of values by weights of ids, `[id][width]`, for the heads of a bundle. */
INLINE void mix_ids(
    const int width, const pm_model *m, int32_t first, int32_t heads, int32_t num_ids,
    const float *counts, float *room, float *wide, float *mixed
) {
    const size_t size = (size_t)m->num_ids * m->value_width;
    for (int32_t h = 0; h < heads; h++) {
        for (int32_t t = 0; t < num_ids; t++) room[t] = counts[t * width + h];
        for (size_t t = num_ids; t < rounded_up(num_ids, PM_BLOCK); t++) room[t] = 0;
        const size_t at = (first + h) * size;
        if (m->precision == PM_FP32)
            mix_rows(0, (const float *)m->value_rows + at, m->value_width, num_ids, room, wide);
        else
            mix_rows(1, (const uint16_t *)m->value_rows + at, m->value_width, num_ids, room, wide);
        put_head(m, wide, inverse_sum(room, num_ids), first + h, mixed);
    }
}

/* What a context gives its latents: weights are added up by id, then a table of all ids is
 * summed. One bundle of heads, for rows of one window; `queries` and `mixed` are `stride` and the
 * width apart. The bundle's width is a constant. */
INLINE void mix_context(
    const int width, const pm_model *m, const pm_row *rows, int32_t num_rows, int32_t bundle,
    const context_room *room, const float *queries, int32_t stride, float *mixed
) {
    const pm_window *window = rows[0].window;
    const int32_t num_ids = window->num_ids;
    const int32_t first = bundle * width, heads = heads_of(m, bundle);
    queries += first * m->head_width;
    for (int32_t r = 0; r < num_rows; r++) {
        const float *still = queries + (size_t)r * stride + m->turned;
        const bundle_query made =
            make_bundle_query(m, still, heads, width, 1, m->head_width - m->turned, room->queries);
        multiply_table(width, m, bundle, &made, 0, num_ids, products_of(m, room, r));
        multiply_table(
            width, m, bundle, &made, m->num_ids, m->num_key_rows, products_of(m, room, r)
        );
    }
    memset(room->counts, 0, sizeof(float) * num_ids * width * num_rows);
    if (m->shape.neighbours)
        weigh_kept(width, m, rows, num_rows, bundle, room, queries, stride);
    else
        for (int32_t r = 0; r < num_rows; r++)
            weigh_tokens(width, m, &rows[r], r, bundle, room, queries + (size_t)r * stride);
    for (int32_t r = 0; r < num_rows; r++)
        mix_ids(
            width, m, first, heads, num_ids, counts_of(m, window, room, r), room->room, room->wide,
            mixed + (size_t)r * m->shape.width
        );
}

#endif
