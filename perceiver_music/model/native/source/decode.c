/* Decodes: when a window is built, and which positions are computed together.
 *
 * Latents grow from half of what is allowed to all of it; then a window that starts later takes
 * over with half as many (perceiver_music/model/base.py). Which positions will be its latents is
 * known long before, so they are computed beside the present ones, and taking over costs nothing.
 */
#include <stdlib.h>
#include <string.h>

#include "api.h"

struct pm_decode {
    const pm_model *model;
    int32_t context, latents, stride, layers;
    int32_t *tokens;
    int64_t num_tokens, room;
    pm_window *active, *next;       /* none is next where the window slides */
    int64_t next_start, next_first; /* where the next window and its latents begin */
    int is_next_open;
    char *scratch;
    size_t scratch_bytes;
    int64_t rows, passes; /* computed in its name so far; see pm_decode_work */
};

size_t pm_scratch_bytes(const pm_model *m, int32_t rows, int32_t capacity) {
    const pm_shape *s = &m->shape;
    const size_t width = s->width + PM_BLOCK, hidden = s->hidden + m->num_ids + PM_BLOCK;
    const size_t widest = (s->hidden > s->width ? s->hidden : s->width) + PM_GROUP;
    const size_t counts = m->bundle * ((size_t)m->num_ids + m->table_rows + PM_BLOCK);
    const size_t queries = PM_BLOCK * ((size_t)m->head_width + 4);
    const size_t each = sizeof(float) * (8 * width + hidden + counts + queries) + 2 * widest + 64;
    return rows * each + sizeof(float) * (2 * capacity + 2 * m->num_ids + width) + 64 * 64;
}

static size_t positions(int32_t capacity) {
    return (size_t)(capacity + PM_BLOCK - 1) / PM_BLOCK * PM_BLOCK;
}

static size_t context_size(const pm_model *m, int32_t capacity) {
    const int32_t bundles = (m->shape.heads + m->bundle - 1) / m->bundle;
    return positions(capacity) / PM_BLOCK * bundles * m->record_bytes;
}

static size_t keys_size(const pm_model *m, int32_t capacity) {
    const size_t channels = m->precision == PM_INT8 ? m->head_groups * 4 : m->head_width * 4;
    return positions(capacity) * channels * m->shape.heads;
}

static size_t values_size(const pm_model *m, int32_t capacity) {
    return positions(capacity) * m->value_width * m->shape.heads * (m->precision == PM_INT8 ? 1 : 4);
}

/* Not of the model, which may be gone already. */
static void free_window(int32_t layers, pm_window *w) {
    if (!w) return;
    void **lists[] = {w->layer_keys, w->layer_values, (void **)w->layer_key_scale,
                      (void **)w->layer_value_scale};
    for (int k = 0; k < 4; k++) {
        for (int32_t i = 0; lists[k] && i < layers; i++) free(lists[k][i]);
        free(lists[k]);
    }
    void *all[] = {w->tokens,    w->rows,     w->keys,     w->phase_cos,
                   w->phase_sin, w->kept_cos, w->kept_sin, w->struck_sum};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) free(all[i]);
    free(w);
}

/* `count` buffers of `bytes`, or none at all of zero bytes. */
static void **several(int32_t count, size_t bytes, int *failed) {
    void **list = pm_get(sizeof(void *) * count);
    if (!list) *failed = 1;
    for (int32_t i = 0; list && bytes && i < count; i++)
        if (!(list[i] = pm_get(bytes))) *failed = 1;
    return list;
}

static pm_window *new_window(const pm_model *m, int32_t capacity, int32_t latents) {
    pm_window *w = pm_get(sizeof *w);
    if (!w) return NULL;
    const pm_shape *s = &m->shape;
    const size_t scales = m->precision == PM_INT8 ? sizeof(float) * s->heads : 0;
    int failed = 0;
    w->capacity = capacity;
    w->latent_capacity = latents;
    w->tokens = pm_get(sizeof(int32_t) * capacity);
    w->rows = pm_get(sizeof(uint16_t) * 4 * positions(capacity));
    w->keys = pm_get(context_size(m, capacity));
    w->layer_keys = several(s->layers, keys_size(m, latents), &failed);
    w->layer_values = several(s->layers, values_size(m, latents), &failed);
    w->layer_key_scale = (float **)several(s->layers, scales * positions(latents), &failed);
    w->layer_value_scale = (float **)several(s->layers, scales * positions(latents), &failed);
    w->phase_cos = pm_get(sizeof(double) * (s->pairs + s->time_pairs));
    w->phase_sin = pm_get(sizeof(double) * (s->pairs + s->time_pairs));
    w->kept_cos = pm_get(sizeof(double) * (s->pairs + s->time_pairs));
    w->kept_sin = pm_get(sizeof(double) * (s->pairs + s->time_pairs));
    w->struck_sum = pm_get(sizeof(float) * s->width);
    failed |= !w->tokens || !w->rows || !w->keys || !w->phase_cos ||
              !w->phase_sin || !w->kept_cos || !w->kept_sin || !w->struck_sum;
    if (!failed) return w;
    free_window(s->layers, w);
    return NULL;
}

/* How long the gap of a prompt is that the window holds; 0 without one. */
static int32_t gap_steps(const pm_decode *d, int64_t start) {
    const pm_shape *s = &d->model->shape;
    int32_t steps = 0;
    int64_t i = start;
    while (s->events && i < d->num_tokens && d->tokens[i] != s->middle) i++;
    for (i++; i < d->num_tokens; i++) {
        const int32_t shift = d->tokens[i] - s->time_shift;
        if (shift >= 0 && shift < s->num_shifts) steps += shift + 1;
        if (shift != s->num_shifts - 1) break;
    }
    return steps;
}

/* An empty window with everything before its first latent pushed. */
static void open_window(pm_decode *d, pm_window *w, int64_t start, int64_t first_latent) {
    const pm_shape *s = &d->model->shape;
    w->start = start;
    w->gap_steps = gap_steps(d, start);
    w->num_ids = s->vocabulary;
    w->length = w->latents = w->struck_summed = 0;
    memset(&w->tracker, 0, sizeof w->tracker);
    w->tracker.token = -1;
    memset(w->struck_sum, 0, sizeof(float) * s->width);
    for (int32_t i = 0; i < s->pairs + s->time_pairs; i++) {
        w->phase_cos[i] = 1.0;
        w->phase_sin[i] = 0.0;
    }
    for (int64_t i = start; i < first_latent; i++) d->model->kernels->push(d->model, w, d->tokens[i]);
}

/* Where a window for so many tokens starts, and its latents: base.Anchor. */
static void anchor(const pm_decode *d, int64_t length, int64_t *start, int64_t *first) {
    int64_t latents = d->latents / 2 > 1 ? d->latents / 2 : 1;
    latents = length < latents ? length : latents;
    const int64_t seen = d->context - (d->latents - latents);
    *start = length > seen ? length - seen : 0;
    *first = length - latents;
}

static void plan_next(pm_decode *d) {
    anchor(
        d, d->num_tokens + (d->latents - d->active->latents) + 1, &d->next_start, &d->next_first
    );
    d->is_next_open = 0;
}

static int ensure_scratch(pm_decode *d, int32_t rows) {
    const size_t bytes = pm_scratch_bytes(d->model, rows, d->latents);
    if (bytes <= d->scratch_bytes) return 0;
    free(d->scratch);
    d->scratch_bytes = 0;
    d->scratch = pm_get(bytes);
    if (!d->scratch) return -1;
    d->scratch_bytes = bytes;
    return 0;
}

/* Rows for the tokens that a window lacks, up to the newest. */
static int32_t rows_for(const pm_decode *d, pm_window *w, int64_t end, pm_row *rows) {
    int32_t n = 0;
    for (int64_t i = w->start + w->length; i < end; i++)
        rows[n++] = (pm_row){.window = w, .token = d->tokens[i]};
    return n;
}

static void run_all(pm_decode *host, pm_row *rows, int32_t n) {
    const pm_model *m = host->model;
    for (int32_t done = 0; done < n; done += PM_MAX_ROWS) {
        const int32_t some = n - done < PM_MAX_ROWS ? n - done : PM_MAX_ROWS;
        m->kernels->run(m, rows + done, some, host->scratch);
        host->rows += some;
        host->passes++;
    }
}

pm_decode *pm_decode_new(
    const pm_model *m, const int32_t *tokens, int64_t num_tokens, int32_t context, int32_t latents,
    int32_t stride, float *logits
) {
    pm_decode *d = pm_get(sizeof *d);
    if (!d) return NULL;
    d->model = m;
    d->context = context;
    d->latents = latents;
    d->stride = stride;
    d->layers = m->shape.layers;
    d->room = num_tokens + 4096;
    d->num_tokens = num_tokens;
    d->tokens = pm_get(sizeof(int32_t) * d->room);
    d->active = new_window(m, context, latents);
    if (stride) d->next = new_window(m, context, latents);
    pm_row *rows = pm_get(sizeof(pm_row) * latents);
    if (d->tokens && d->active && (d->next || !stride) && rows && !ensure_scratch(d, PM_MAX_ROWS)) {
        memcpy(d->tokens, tokens, sizeof(int32_t) * num_tokens);
        int64_t start, first;
        anchor(d, num_tokens, &start, &first);
        open_window(d, d->active, start, first);
        const int32_t n = rows_for(d, d->active, num_tokens, rows);
        rows[n - 1].logits = logits;
        run_all(d, rows, n);
        plan_next(d);
        free(rows);
        return d;
    }
    free(rows);
    pm_decode_free(d);
    return NULL;
}

void pm_decode_free(pm_decode *d) {
    if (!d) return;
    free_window(d->layers, d->active);
    free_window(d->layers, d->next);
    free(d->tokens);
    free(d->scratch);
    free(d);
}

static void copy_window(const pm_model *m, pm_window *to, const pm_window *from) {
    const pm_shape *s = &m->shape;
    const int32_t capacity = from->capacity, latents = from->latent_capacity;
    const size_t scales = m->precision == PM_INT8 ? sizeof(float) * s->heads : 0;
    const size_t angles = sizeof(double) * (s->pairs + s->time_pairs);
    to->start = from->start;
    to->gap_steps = from->gap_steps;
    to->num_ids = from->num_ids;
    to->length = from->length;
    to->latents = from->latents;
    to->newest = from->newest;
    to->newest_latent = from->newest_latent;
    to->tracker = from->tracker;
    to->struck_summed = from->struck_summed;
    memcpy(to->tokens, from->tokens, sizeof(int32_t) * capacity);
    memcpy(to->rows, from->rows, sizeof(uint16_t) * 4 * positions(capacity));
    memcpy(to->keys, from->keys, context_size(m, capacity));
    memcpy(to->phase_cos, from->phase_cos, angles);
    memcpy(to->phase_sin, from->phase_sin, angles);
    memcpy(to->kept_cos, from->kept_cos, angles);
    memcpy(to->kept_sin, from->kept_sin, angles);
    memcpy(to->struck_sum, from->struck_sum, sizeof(float) * s->width);
    for (int32_t i = 0; i < s->layers; i++) {
        memcpy(to->layer_keys[i], from->layer_keys[i], keys_size(m, latents));
        memcpy(to->layer_values[i], from->layer_values[i], values_size(m, latents));
        if (!scales) continue;
        memcpy(to->layer_key_scale[i], from->layer_key_scale[i], scales * positions(latents));
        memcpy(to->layer_value_scale[i], from->layer_value_scale[i], scales * positions(latents));
    }
}

pm_decode *pm_decode_copy(const pm_decode *from) {
    pm_decode *d = pm_get(sizeof *d);
    if (!d) return NULL;
    *d = *from;
    d->scratch = NULL;
    d->scratch_bytes = 0;
    d->rows = d->passes = 0;
    d->tokens = pm_get(sizeof(int32_t) * d->room);
    d->active = new_window(d->model, d->context, d->latents);
    if (from->next) d->next = new_window(d->model, d->context, d->latents);
    if (d->tokens && d->active && (d->next || !from->next)) {
        memcpy(d->tokens, from->tokens, sizeof(int32_t) * from->num_tokens);
        copy_window(d->model, d->active, from->active);
        if (d->is_next_open) copy_window(d->model, d->next, from->next);
        return d;
    }
    pm_decode_free(d);
    return NULL;
}

static int append(pm_decode *d, int32_t token) {
    if (d->num_tokens == d->room) {
        int32_t *more = realloc(d->tokens, sizeof(int32_t) * d->room * 2);
        if (!more) return -1;
        d->tokens = more;
        d->room *= 2;
    }
    d->tokens[d->num_tokens++] = token;
    return 0;
}

/* The rows that one more token makes; how many there are. */
static int32_t rows_of_step(pm_decode *d, int32_t token, pm_row *rows, float *logits) {
    const int64_t end = d->num_tokens, newest = end - 1;
    rows[0] = (pm_row){.window = d->active, .token = token, .logits = logits};
    if (!d->next) return 1;
    if (!d->is_next_open && newest >= d->next_first) {
        open_window(d, d->next, d->next_start, d->next_first);
        d->is_next_open = 1;
    }
    if (d->active->latents >= d->latents) { /* the next window takes over */
        const int32_t n = rows_for(d, d->next, end, rows);
        rows[n - 1].logits = logits;
        pm_window *old = d->active;
        d->active = d->next;
        d->next = old;
        return n;
    }
    const int64_t waiting = d->is_next_open ? end - d->next->start - d->next->length : 0;
    return waiting >= d->stride ? 1 + rows_for(d, d->next, end, rows + 1) : 1;
}

int32_t pm_advance(
    pm_decode *const *decodes, const int32_t *tokens, int32_t count, float *logits
) {
    if (count < 1) return 0;
    size_t most = 0;
    int32_t widest = 0;
    for (int32_t i = 0; i < count; i++) {
        most += 2 + decodes[i]->stride;
        if (decodes[i]->latents > decodes[widest]->latents) widest = i;
    }
    pm_row *rows = pm_get(sizeof(pm_row) * most);
    uint8_t *took_over = pm_get(count);
    pm_decode *host = decodes[widest];
    int32_t failed = !rows || !took_over || ensure_scratch(host, PM_MAX_ROWS);
    for (int32_t i = 0; i < count && !failed; i++) failed = append(decodes[i], tokens[i]);
    if (!failed) {
        int32_t n = 0;
        for (int32_t i = 0; i < count; i++) {
            const pm_window *before = decodes[i]->active;
            n += rows_of_step(
                decodes[i], tokens[i], rows + n, logits + (size_t)i * host->model->shape.vocabulary
            );
            took_over[i] = decodes[i]->active != before;
        }
        run_all(host, rows, n);
        for (int32_t i = 0; i < count; i++)
            if (took_over[i]) plan_next(decodes[i]);
    }
    free(rows);
    free(took_over);
    return failed ? -1 : 0;
}

void pm_decode_where(const pm_decode *d, int64_t *context_start, int32_t *num_latents) {
    *context_start = d->active->start;
    *num_latents = d->active->latents;
}

void pm_decode_work(const pm_decode *d, int64_t *rows, int64_t *passes) {
    *rows = d->rows;
    *passes = d->passes;
}
