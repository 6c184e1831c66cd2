/* The network over a few positions at once. Compiled once for each kind of processor, which gives
 * PM_KERNELS, the table's name, and PM_NAME, what the kind is called. */
#include "window.h"

typedef struct {
    float *x, *normed, *projected, *mixed, *hidden, *cosines, *sines, *scores, *counts, *wide;
    int8_t *narrow, *narrow_queries;
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
    w.narrow_queries = take(&scratch, (size_t)rows * 8 * (m->head_width + 4));
    w.counts = take(&scratch, each * 8 * ids);
    w.wide = take(&scratch, sizeof(float) * rounded_up(m->value_width, PM_BLOCK));
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

/* Takes the first real channels of a head out of padded ones. */
INLINE void put_head(const pm_model *m, const float *wide, float inverse, int32_t head, float *y) {
    for (int32_t c = 0; c < m->head_width; c++) y[head * m->head_width + c] = wide[c] * inverse;
}

#define CHUNK (AT_ONCE * PM_BLOCK)
#define STAGE (8 * CHUNK) /* positions whose keys stay close by while rows take turns */
typedef float v4 __attribute__((vector_size(16)));
typedef float v8 __attribute__((vector_size(32)));

INLINE int32_t least(int32_t a, int32_t b) { return a < b ? a : b; }

/* Adds a chunk's weights, `[width][CHUNK]`, to those of their tokens, `[vocabulary][width]`: all
 * heads of a position at once. The width is a constant, 4 or 8. */
INLINE void add_by_token(
    const int width, const float *weights, const int32_t *tokens, int32_t length, float *counts
) {
    for (int32_t i = 0; i < length; i += LANES) {
        vf v[8], zipped[8];
        float turned[8 * LANES];
        UNROLL
        for (int h = 0; h < width; h++) v[h] = load(weights + h * CHUNK + i);
        UNROLL
        for (int round = 1; round < width; round *= 2) {
            UNROLL
            for (int h = 0; h < width / 2; h++) {
                zipped[2 * h] = ZIP_LOW(v[h], v[h + width / 2]);
                zipped[2 * h + 1] = ZIP_HIGH(v[h], v[h + width / 2]);
            }
            UNROLL
            for (int h = 0; h < width; h++) v[h] = zipped[h];
        }
        UNROLL
        for (int h = 0; h < width; h++) store(turned + h * LANES, v[h]);
        const int32_t here = length - i < LANES ? length - i : LANES;
        for (int32_t p = 0; p < here; p++) {
            float *to = counts + (size_t)tokens[i + p] * width;
            if (width == 8) {
                v8 sum, more;
                memcpy(&sum, to, sizeof sum);
                memcpy(&more, turned + p * 8, sizeof more);
                sum += more;
                memcpy(to, &sum, sizeof sum);
            } else {
                v4 sum, more;
                memcpy(&sum, to, sizeof sum);
                memcpy(&more, turned + p * 4, sizeof more);
                sum += more;
                memcpy(to, &sum, sizeof sum);
            }
        }
    }
}

/* What a context gives its latents: weights are added up by id, then a table of all ids is
 * summed. `heads` heads from `first` on, at most `width`, for rows of one window. */
INLINE void mix_context(
    const int width, const pm_model *m, const pm_row *rows, int32_t num_rows, int32_t first,
    int32_t heads, workspace *w, const float *queries, int32_t stride, float *mixed
) {
    const pm_window *window = rows[0].window;
    const int32_t num_ids = window->num_ids, length = rows[num_rows - 1].index + 1;
    const size_t size = key_bytes(m, window->capacity), row_size = (size_t)num_ids * width;
    const size_t padded = rounded_up(window->capacity, PM_BLOCK);
    query made[PM_MAX_ROWS][8];
    for (int32_t r = 0; r < num_rows; r++)
        for (int32_t h = 0; h < heads; h++)
            made[r][h] = make_query(
                m, queries + (size_t)r * stride + (first + h) * m->head_width,
                w->narrow_queries + ((size_t)r * 8 + h) * (m->head_width + 4)
            );
    memset(w->counts, 0, sizeof(float) * row_size * num_rows);
    float weights[8 * CHUNK] = {0};
    for (int32_t stage = 0; stage < length; stage += STAGE)
        for (int32_t r = 0; r < num_rows; r++) {
            const int32_t stop = least(stage + STAGE, rows[r].index + 1);
            for (int32_t start = stage; start < stop; start += CHUNK) {
                const int32_t end = least(start + CHUNK, stop);
                for (int32_t h = 0; h < heads; h++) {
                    const char *keys = (const char *)window->keys + (first + h) * size;
                    const float *scales =
                        window->key_scale ? window->key_scale + (first + h) * padded : NULL;
                    weigh(m, keys, scales, &made[r][h], start, end, weights + h * CHUNK);
                }
                add_by_token(
                    width, weights, window->ids + start, end - start, w->counts + r * row_size
                );
            }
        }
    const int32_t wide = m->value_width, value_stride = wide * m->shape.heads;
    for (int32_t r = 0; r < num_rows; r++)
        for (int32_t h = 0; h < heads; h++) {
            const float *counts = w->counts + r * row_size;
            for (int32_t t = 0; t < num_ids; t++) w->scores[t] = counts[t * width + h];
            for (size_t t = num_ids; t < rounded_up(num_ids, PM_BLOCK); t++) w->scores[t] = 0;
            mix_floats(
                m->value_rows + (size_t)(first + h) * wide, wide, value_stride, num_ids,
                w->scores, w->wide
            );
            const float inverse = inverse_sum(w->scores, num_ids);
            put_head(m, w->wide, inverse, first + h, mixed + (size_t)r * m->shape.width);
        }
}

static void cross(const pm_model *m, const pm_row *rows, int32_t num_rows, workspace *w) {
    const pm_shape *s = &m->shape;
    const pm_block *block = &m->cross;
    const int32_t width = s->width, stride = block->qkv.blocks * PM_BLOCK;
    norm_rows(w->x, num_rows, width, w->normed);
    linear(&block->qkv, w->normed, num_rows, w->projected, w->rest);
    for (int32_t r = 0; r < num_rows; r++)
        norm_and_turn(m, w->cosines + r * width, w->sines + r * width, w->projected + r * stride);
    /* Rows of one window stand together: keys, once read, serve them all. */
    for (int32_t from = 0, to; from < num_rows; from = to) {
        for (to = from; to < num_rows && rows[to].window == rows[from].window; to++) {}
        const float *queries = w->projected + (size_t)from * stride;
        float *mixed = w->mixed + (size_t)from * width;
        for (int32_t first = 0; first < s->heads;) {
            const int32_t left = s->heads - first, heads = left < 8 ? left : 8;
            if (heads > 4)
                mix_context(8, m, rows + from, to - from, first, heads, w, queries, stride, mixed);
            else
                mix_context(4, m, rows + from, to - from, first, heads, w, queries, stride, mixed);
            first += heads;
        }
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
        norm_and_turn(m, cosines, sines, q);
        norm_and_turn(m, cosines, sines, k);
        if (block->value_table) {
            const float *extra = block->value_table + (size_t)rows[r].token * width;
            for (int32_t c = 0; c < width; c++) v[c] += extra[c];
        }
        float *key_scale = window->layer_key_scale[number];
        float *value_scale = window->layer_value_scale[number];
        write_key(m, window->layer_keys[number], key_scale, room, rows[r].place, k);
        write_value(m, window->layer_values[number], value_scale, room, rows[r].place, v);
        const size_t key_size = key_bytes(m, room);
        const size_t value_size = value_bytes(m, room);
        for (int32_t h = 0; h < s->heads; h++) {
            const char *keys = (const char *)window->layer_keys[number] + h * key_size;
            const char *values = (const char *)window->layer_values[number] + h * value_size;
            const query made = make_query(m, q + h * m->head_width, w->narrow_queries);
            weigh(m, keys, key_scale ? key_scale + h * padded : NULL, &made, 0, latent + 1,
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

const struct pm_kernels PM_KERNELS = {PM_NAME, push, run, linear};
