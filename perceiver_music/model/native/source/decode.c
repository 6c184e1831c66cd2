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
    int32_t context, latents, stride;
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
    const size_t turned = s->neighbours ? 0 : (size_t)m->bundle * m->num_ids * m->units;
    const size_t queries = PM_BLOCK * m->bundle * ((size_t)m->head_width + 4);
    const size_t each = sizeof(float) * (8 * width + hidden + counts + queries) + 2 * widest + 64;
    const size_t shared = 2 * capacity + 2 * m->num_ids + width + turned;
    return rows * each + sizeof(float) * shared + 64 * 64;
}

static size_t positions(int32_t capacity) {
    return (size_t)(capacity + PM_BLOCK - 1) / PM_BLOCK * PM_BLOCK;
}

static size_t context_size(const pm_model *m, int32_t capacity) {
    if (!m->shape.neighbours) return positions(capacity) * m->units * sizeof(int32_t);
    const int32_t full = m->shape.heads / m->bundle, rest = m->shape.heads % m->bundle;
    return positions(capacity) / PM_BLOCK *
           (full * pm_record_bytes(m, m->bundle) + pm_record_bytes(m, rest));
}

static size_t keys_size(const pm_model *m, int32_t capacity) {
    const size_t channels = m->precision == PM_INT8 ? m->head_groups * 4 : m->head_width * 4;
    return positions(capacity) * channels * m->shape.heads;
}

static size_t values_size(const pm_model *m, int32_t capacity) {
    return positions(capacity) * m->value_width * m->shape.heads * (m->precision == PM_INT8 ? 1 : 4);
}

/* The next so many bytes of a window's memory. */
static void *place(char *memory, size_t *used, size_t bytes) {
    char *at = memory ? memory + *used : NULL;
    *used += (bytes + 63) / 64 * 64;
    return at;
}

/* Gives the parts of a window their places in its memory; how large it must be. */
static size_t lay_out(const pm_model *m, pm_window *w, char *memory) {
    const pm_shape *s = &m->shape;
    const size_t places = positions(w->latent_capacity), angles = s->pairs + s->time_pairs;
    const size_t scales = m->precision == PM_INT8 ? sizeof(float) * s->heads * places : 0;
    size_t used = 0;
    w->keys = place(memory, &used, context_size(m, w->capacity));
    w->rows = place(memory, &used, sizeof(uint16_t) * 4 * positions(w->capacity));
    w->tokens = place(memory, &used, sizeof(int32_t) * w->capacity);
    double **phases[] = {&w->phase_cos, &w->phase_sin, &w->kept_cos, &w->kept_sin};
    for (int i = 0; i < 4; i++) *phases[i] = place(memory, &used, sizeof(double) * angles);
    w->struck = place(memory, &used, sizeof(float) * (1 + PM_FADING_TERMS) * s->width);
    w->caches = place(memory, &used, sizeof(pm_cache) * s->layers);
    for (int32_t i = 0; i < s->layers; i++) {
        pm_cache cache;
        cache.keys = place(memory, &used, keys_size(m, w->latent_capacity));
        cache.values = place(memory, &used, values_size(m, w->latent_capacity));
        cache.key_scale = place(memory, &used, scales);
        cache.value_scale = place(memory, &used, scales);
        if (memory) w->caches[i] = cache;
    }
    return used;
}

/* One piece of memory: large pages serve it better, and it is copied at once. */
static pm_window *new_window(const pm_model *m, int32_t capacity, int32_t latents) {
    pm_window *w = pm_get(sizeof *w);
    if (!w) return NULL;
    w->capacity = capacity;
    w->latent_capacity = latents;
    w->bytes = lay_out(m, w, NULL);
    w->memory = pm_get(w->bytes);
    if (w->memory) {
        lay_out(m, w, w->memory);
        return w;
    }
    free(w);
    return NULL;
}

static void copy_window(const pm_model *m, pm_window *to, const pm_window *from) {
    char *memory = to->memory;
    *to = *from;
    to->memory = memory;
    memcpy(memory, from->memory, from->bytes);
    lay_out(m, to, memory);
}

static void free_window(pm_window *w) {
    if (w) free(w->memory);
    free(w);
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
    w->length = w->latents = w->struck_time = 0;
    memset(&w->tracker, 0, sizeof w->tracker);
    w->tracker.token = -1;
    memset(w->struck, 0, sizeof(float) * (1 + PM_FADING_TERMS) * s->width);
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
    free_window(d->active);
    free_window(d->next);
    free(d->tokens);
    free(d->scratch);
    free(d);
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

static int reserve_token(pm_decode *d) {
    if (d->num_tokens < d->room) return 0;
    int32_t *more = realloc(d->tokens, sizeof(int32_t) * d->room * 2);
    if (!more) return -1;
    d->tokens = more;
    d->room *= 2;
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
    /* All or none: a token that is never computed would be one of the context. */
    for (int32_t i = 0; i < count && !failed; i++) failed = reserve_token(decodes[i]);
    if (!failed) {
        int32_t n = 0;
        for (int32_t i = 0; i < count; i++) {
            decodes[i]->tokens[decodes[i]->num_tokens++] = tokens[i];
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
