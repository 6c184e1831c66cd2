/* The network over a few positions at once. Compiled once for each kind of processor, which gives
 * PM_KERNELS, the table's name, and PM_NAME, what the kind is called. */
#include "table_attention.h"
#include "window.h"

typedef struct {
    float *x, *normed, *projected, *mixed, *hidden, *cosines, *sines, *scores, *wide;
    int8_t *narrow, *narrow_query;
    context_room context;
    char *rest;
} workspace;

static workspace layout(const pm_model *m, int32_t rows, int32_t capacity, char *scratch) {
    const pm_shape *s = &m->shape;
    const size_t width = rounded_up(s->width, PM_BLOCK), hidden = rounded_up(s->hidden, PM_BLOCK);
    const size_t ids = rounded_up(m->num_ids, PM_BLOCK);
    const size_t each = sizeof(float) * rows;
    workspace w;
    w.x = take(&scratch, each * width);
    w.normed = take(&scratch, each * width);
    w.projected = take(&scratch, each * 3 * width);
    w.mixed = take(&scratch, each * width);
    w.hidden = take(&scratch, each * (hidden > ids ? hidden : ids));
    w.cosines = take(&scratch, each * width);
    w.sines = take(&scratch, each * width);
    const size_t places = rounded_up(capacity, PM_BLOCK);
    w.scores = take(&scratch, sizeof(float) * (places > ids ? places : ids));
    w.narrow = take(&scratch, 2 * places);
    w.narrow_query = take(&scratch, m->head_width + 4);
    w.context.products = take(&scratch, each * m->bundle * m->table_rows);
    w.context.counts = take(&scratch, each * m->bundle * ids);
    w.context.queries = take(&scratch, (size_t)rows * m->bundle * lanes_bytes(m, m->head_width));
    w.wide = take(&scratch, sizeof(float) * rounded_up(m->value_width, PM_BLOCK));
    w.context.turned = scratch;
    if (!s->neighbours) take(&scratch, sizeof(int32_t) * m->bundle * m->num_ids * m->units);
    w.context.room = w.scores;
    w.context.wide = w.wide;
    w.rest = scratch;
    return w;
}

static void norm_rows(const float *x, int32_t rows, int32_t width, float *y) {
    for (int32_t r = 0; r < rows; r++, x += width, y += width) {
        float sums[16] = {0};
        int32_t c = 0;
        for (; c + 16 <= width; c += 16)
            for (int32_t i = 0; i < 16; i++) sums[i] += x[c + i] * x[c + i];
        float sum = 0.0f;
        for (int32_t i = 0; i < 16; i++) sum += sums[i];
        for (; c < width; c++) sum += x[c] * x[c];
        const float scale = 1.0f / sqrtf(sum / width + 1e-6f);
        for (c = 0; c < width; c++) y[c] = x[c] * scale;
    }
}

static void add_rows(float *x, const float *y, int32_t rows, int32_t width, int32_t stride) {
    for (int32_t r = 0; r < rows; r++)
        for (int32_t c = 0; c < width; c++) x[r * width + c] += y[r * stride + c];
}

static void squared_relu(const float *x, int32_t rows, int32_t width, int32_t stride, float *y) {
    for (int32_t r = 0; r < rows; r++)
        for (int32_t c = 0; c < width; c++) {
            const float a = x[r * stride + c] > 0.0f ? x[r * stride + c] : 0.0f;
            y[r * width + c] = a * a;
        }
}

static void mlp(const pm_model *m, const pm_block *block, int32_t rows, workspace *w) {
    const pm_shape *s = &m->shape;
    norm_rows(w->x, rows, s->width, w->normed);
    linear(&block->up, w->normed, rows, w->hidden, w->rest);
    squared_relu(w->hidden, rows, s->hidden, block->up.blocks * PM_BLOCK, w->hidden);
    linear(&block->down, w->hidden, rows, w->projected, w->rest);
    add_rows(w->x, w->projected, rows, s->width, block->down.blocks * PM_BLOCK);
}

static void cross(const pm_model *m, const pm_row *rows, int32_t num_rows, workspace *w) {
    const pm_shape *s = &m->shape;
    const pm_block *block = &m->cross;
    const int32_t width = s->width, stride = block->qkv.blocks * PM_BLOCK;
    norm_rows(w->x, num_rows, width, w->normed);
    linear(&block->qkv, w->normed, num_rows, w->projected, w->rest);
    for (int32_t r = 0; r < num_rows; r++)
        norm_and_turn(
            m, w->cosines + r * width, w->sines + r * width, w->projected + r * stride, NULL
        );
    /* Rows of one window stand together: keys, once read, serve them all. */
    for (int32_t from = 0, to; from < num_rows; from = to) {
        for (to = from; to < num_rows && rows[to].window == rows[from].window; to++) {}
        const float *queries = w->projected + (size_t)from * stride;
        float *mixed = w->mixed + (size_t)from * width;
        for (int32_t bundle = 0; bundle * m->bundle < s->heads; bundle++)
            if (m->bundle == 8)
                mix_context(
                    8, m, rows + from, to - from, bundle, &w->context, queries, stride, mixed
                );
            else
                mix_context(
                    4, m, rows + from, to - from, bundle, &w->context, queries, stride, mixed
                );
    }
    linear(&block->output, w->mixed, num_rows, w->projected, w->rest);
    add_rows(w->x, w->projected, num_rows, width, block->output.blocks * PM_BLOCK);
    mlp(m, block, num_rows, w);
}

static void layer(
    const pm_model *m, int32_t number, const pm_row *rows, int32_t num_rows, workspace *w
) {
    const pm_shape *s = &m->shape;
    const pm_block *block = &m->blocks[number];
    const int32_t width = s->width, stride = block->qkv.blocks * PM_BLOCK;
    norm_rows(w->x, num_rows, width, w->normed);
    linear(&block->qkv, w->normed, num_rows, w->projected, w->rest);
    for (int32_t r = 0; r < num_rows; r++) {
        pm_window *window = rows[r].window;
        const int32_t room = window->latent_capacity, latent = rows[r].latent;
        const size_t padded = rounded_up(room, PM_BLOCK);
        float *q = w->projected + (size_t)r * stride, *k = q + width, *v = k + width;
        const float *cosines = w->cosines + r * width, *sines = w->sines + r * width;
        norm_and_turn(m, cosines, sines, q, NULL);
        norm_and_turn(m, cosines, sines, k, NULL);
        if (block->value_table) {
            const float *extra = block->value_table + (size_t)rows[r].token * width;
            for (int32_t c = 0; c < width; c++) v[c] += extra[c];
        }
        const pm_cache *cache = &window->caches[number];
        float *key_scale = cache->key_scale, *value_scale = cache->value_scale;
        write_key(m, cache->keys, key_scale, room, rows[r].place, k);
        write_value(m, cache->values, value_scale, room, rows[r].place, v);
        const size_t key_size = key_bytes(m, room);
        const size_t value_size = value_bytes(m, room);
        for (int32_t h = 0; h < s->heads; h++) {
            const char *keys = (const char *)cache->keys + h * key_size;
            const char *values = (const char *)cache->values + h * value_size;
            const query made = make_query(m, q + h * m->head_width, w->narrow_query);
            weigh(m, keys, key_scale ? key_scale + h * padded : NULL, &made, latent + 1,
                  w->scores);
            const float inverse = inverse_sum(w->scores, latent + 1);
            mix(m, values, value_scale ? value_scale + h * padded : NULL, latent + 1, w->scores,
                w->narrow, w->wide);
            put_head(m, w->wide, inverse, h, w->mixed + r * width);
        }
    }
    linear(&block->output, w->mixed, num_rows, w->projected, w->rest);
    add_rows(w->x, w->projected, num_rows, width, block->output.blocks * PM_BLOCK);
    mlp(m, block, num_rows, w);
}

/* Pushes a row's token into its window and makes the latent that enters the stack. */
static void enter(const pm_model *m, pm_row *row, float *x, float *cosines, float *sines) {
    const pm_shape *s = &m->shape;
    pm_window *window = row->window;
    push(m, window, row->token);
    row->index = window->length - 1;
    row->place = next_place(window->newest_latent, &window->latents, window->latent_capacity);
    window->newest_latent = row->place;
    row->latent = window->latents - 1;
    memcpy(x, m->embedding + (size_t)row->token * s->width, sizeof(float) * s->width);
    if (s->previous && row->index > 0) {
        const int32_t before = window->newest ? window->newest - 1 : window->capacity - 1;
        const float *more = m->previous + (size_t)window->tokens[before] * s->width;
        for (int32_t c = 0; c < s->width; c++) x[c] += more[c];
    }
    if (s->events) add_events(m, window, x);
    angles(m, window, cosines, sines);
}

/* Logits of the rows that want them; each is the last of its window. */
static void predict(const pm_model *m, const pm_row *rows, int32_t num_rows, workspace *w) {
    const pm_shape *s = &m->shape;
    const int32_t width = s->width;
    int32_t wanted = 0;
    for (int32_t r = 0; r < num_rows; r++)
        if (rows[r].logits)
            memmove(w->x + (wanted++) * width, w->x + r * width, sizeof(float) * width);
    if (!wanted) return;
    norm_rows(w->x, wanted, width, w->normed);
    linear(&m->logits, w->normed, wanted, w->hidden, w->rest);
    if (s->events) linear(&m->rates, w->normed, wanted, w->projected, w->rest);
    for (int32_t r = 0, i = 0; r < num_rows; r++) {
        if (!rows[r].logits) continue;
        float *logits = rows[r].logits;
        memcpy(logits, w->hidden + (size_t)i * m->logits.blocks * PM_BLOCK,
               sizeof(float) * s->vocabulary);
        if (s->events) {
            float *rates = w->projected + (size_t)i * m->rates.blocks * PM_BLOCK;
            for (int j = 0; j < PM_TERMS + PM_HELD_TERMS; j++) rates[j] += m->rates_bias[j];
            add_prospects(m, &rows[r].window->tracker, rates, logits);
        }
        if (s->soft_cap > 0.0f)
            for (int32_t c = 0; c < s->vocabulary; c++)
                logits[c] = s->soft_cap * tanhf(logits[c] / s->soft_cap);
        i++;
    }
}

static void run(const pm_model *m, pm_row *rows, int32_t num_rows, char *scratch) {
    const int32_t width = m->shape.width;
    int32_t capacity = 0;
    for (int32_t r = 0; r < num_rows; r++) {
        const int32_t latents = rows[r].window->latent_capacity;
        capacity = latents > capacity ? latents : capacity;
    }
    workspace w = layout(m, num_rows, capacity, scratch);
    for (int32_t r = 0; r < num_rows; r++)
        enter(m, &rows[r], w.x + r * width, w.cosines + r * width, w.sines + r * width);
    cross(m, rows, num_rows, &w);
    for (int32_t i = 0; i < m->shape.layers; i++) layer(m, i, rows, num_rows, &w);
    predict(m, rows, num_rows, &w);
}

const struct pm_kernels PM_KERNELS = {PM_NAME, push, run, linear, attend};
