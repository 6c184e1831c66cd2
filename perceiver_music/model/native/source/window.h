/* Taking tokens into a window: what is counted, and the keys of its context.
 *
 * The counting is that of perceiver_music/model/event_state.py and neighbours.py, in which its
 * words are explained; tests compare the logits. */
#ifndef PM_WINDOW_H
#define PM_WINDOW_H

#include "context.h"

static const float HELD_SECONDS[] = {0.1f, 0.4f, 1.6f, 6.4f};
static const float STRUCK_SECONDS[] = {0.15f, 0.6f, 2.5f, 10.0f};
#define LOG_SECONDS 0.05f
#define STEPS_PER_SECOND 100.0f

INLINE int within(int32_t value, int32_t size) { return value >= 0 && value < size; }

/* Whether the token belongs to an infilling prompt, up to the last TIME_SHIFT of its length. */
static int is_prompt(const pm_shape *s, pm_tracker *t, int32_t token) {
    t->num_suffixes += token == s->suffix;
    t->num_middles += token == s->middle;
    const int is_last = token != s->time_shift + s->num_shifts - 1 && token != s->middle;
    t->num_lasts += is_last && t->num_middles > 0;
    const int is_length = t->num_lasts == 0 || (t->num_lasts == 1 && is_last);
    return t->num_suffixes > t->num_middles || (is_length && t->num_middles > 0);
}

/* Where a token stands: in the music, after a prompt's gap, or in what says how long that is. */
typedef enum { PM_MUSIC, PM_AFTER, PM_LENGTH } pm_part;

static int32_t steps_of(const pm_shape *s, int32_t token) {
    const int32_t shift = token - s->time_shift;
    return s->events && within(shift, s->num_shifts) ? shift + 1 : 0;
}

/* Counts a token, and says where it stands; `neighbours` gets what stood before it. */
static pm_part count(const pm_shape *s, pm_tracker *t, int32_t token, int32_t neighbours[3]) {
    neighbours[0] = t->token + 1;
    neighbours[1] = t->near[0];
    neighbours[2] = t->near[1];
    t->token = token;
    const int32_t on = token - s->note_on, off = token - s->note_off;
    const int32_t shift = token - s->time_shift, velocity = token - s->velocity;
    if (within(on, s->num_pitches)) {
        t->near[1] = t->near[0];
        t->near[0] = on + 1;
    }
    if (is_prompt(s, t, token)) return t->num_suffixes > t->num_middles ? PM_AFTER : PM_LENGTH;
    if (within(on, s->num_pitches)) {
        if (!t->struck[on]) t->struck_list[t->num_struck++] = on;
        t->held[on] = t->struck[on] = 1;
        t->onset_time[on] = t->time;
        t->onsets[1] = t->onsets[0];
        t->onsets[0] = on + 1;
    } else if (within(off, s->num_pitches)) {
        t->held[off] = 0;
    } else if (within(shift, s->num_shifts)) {
        t->time += shift + 1;
    } else if (within(velocity, s->num_velocities)) {
        t->velocity = velocity + 1;
    }
    return PM_MUSIC;
}

/* Unit mean square per head, then turned by the window's last position; in place. What each head
 * was multiplied by goes to `norms`, if asked for. */
static void norm_and_turn(
    const pm_model *m, const float *restrict cosines, const float *restrict sines,
    float *restrict x, float *norms
) {
    const int32_t width = m->head_width, half = m->shape.pairs + m->shape.time_pairs;
    for (int32_t h = 0; h < m->shape.heads; h++, x += width) {
        float sums[8] = {0};
        int32_t c = 0;
        for (; c + 8 <= width; c += 8)
            for (int32_t i = 0; i < 8; i++) sums[i] += x[c + i] * x[c + i];
        float sum = ((sums[0] + sums[1]) + (sums[2] + sums[3])) +
                    ((sums[4] + sums[5]) + (sums[6] + sums[7]));
        for (; c < width; c++) sum += x[c] * x[c];
        const float scale = 1.0f / sqrtf(sum / width + 1e-6f);
        if (norms) norms[h] = scale;
        for (c = 0; c < width; c++) x[c] *= scale;
        for (int32_t i = 0; i < half; i++) {
            const float a = x[i], b = x[half + i];
            x[i] = a * cosines[i] - b * sines[i];
            x[half + i] = b * cosines[i] + a * sines[i];
        }
    }
}

static void turn_on(double *cosines, double *sines, const double *c, const double *s, int32_t n) {
    for (int32_t i = 0; i < n; i++) {
        const double a = cosines[i], b = sines[i];
        cosines[i] = a * c[i] - b * s[i];
        sines[i] = b * c[i] + a * s[i];
    }
}

/* Angles of the window's last position, in float. */
static void angles(const pm_model *m, const pm_window *w, float *cosines, float *sines) {
    const int32_t half = m->shape.pairs + m->shape.time_pairs;
    for (int32_t i = 0; i < half; i++) {
        cosines[i] = (float)w->phase_cos[i];
        sines[i] = (float)w->phase_sin[i];
    }
}

/* Turns `pairs` channels on by `places` at once. */
static void jump(double *cosines, double *sines, int32_t pairs, double base, double places) {
    for (int32_t i = 0; i < pairs; i++) {
        const double angle = places * pow(base, pairs > 1 ? -(double)i / (pairs - 1) : 0.0);
        const double c = cos(angle), s = sin(angle);
        turn_on(cosines + i, sines + i, &c, &s, 1);
    }
}

static void keep(const pm_shape *s, double *to_cos, double *to_sin, const double *c, const double *n) {
    memcpy(to_cos, c, sizeof(double) * (s->pairs + s->time_pairs));
    memcpy(to_sin, n, sizeof(double) * (s->pairs + s->time_pairs));
}

/* Moves the window's angles on to a token: see `_places` in perceiver_music/model/event_state.py. */
static void move_on(const pm_model *m, pm_window *w, int32_t token, pm_part part) {
    const pm_shape *s = &m->shape;
    double *time_cos = w->phase_cos + s->pairs, *time_sin = w->phase_sin + s->pairs;
    if (part == PM_AFTER && token == s->suffix) {
        keep(s, w->kept_cos, w->kept_sin, w->phase_cos, w->phase_sin);
        jump(w->phase_cos, w->phase_sin, s->pairs, s->max_wavelength, floor(w->gap_steps / 2.5));
        jump(time_cos, time_sin, s->time_pairs, s->max_wavelength, w->gap_steps);
    }
    if (part == PM_LENGTH) {
        if (token == s->middle && w->tracker.num_suffixes > 0)
            keep(s, w->phase_cos, w->phase_sin, w->kept_cos, w->kept_sin);
        return;
    }
    turn_on(w->phase_cos, w->phase_sin, m->step_cos, m->step_sin, s->pairs);
    const int32_t steps = steps_of(s, token);
    const size_t at = (size_t)steps * s->time_pairs;
    if (steps && s->time_pairs)
        turn_on(time_cos, time_sin, m->shift_cos + at, m->shift_sin + at, s->time_pairs);
}

/* Where a new position goes among the `length` that there are: behind them, or round the ring. */
static int32_t next_place(int32_t newest, int32_t *length, int32_t capacity) {
    if (*length < capacity) return (*length)++;
    return (newest + 1) % capacity;
}

/* What is left of a struck key's fading terms after so many steps. */
static void fade(int32_t steps, float left[PM_FADING_TERMS]) {
    for (int i = 0; i < PM_FADING_TERMS; i++)
        left[i] = expf((float)steps / STEPS_PER_SECOND / -STRUCK_SECONDS[i]);
}

/* Adds a key's terms to the sums over all struck keys; those of its stroke before, if there was
 * one, go. A sum of what fades fades as its parts do, so nobody needs to go through the keys. */
static void strike(const pm_model *m, pm_window *w, int32_t pitch, int was_struck, int32_t before) {
    const int32_t width = m->shape.width, now = w->tracker.time;
    const float *row = m->key_terms + ((size_t)pitch * PM_TERMS + PM_HELD_TERMS) * width;
    float *sum = w->struck, left[PM_FADING_TERMS], of_before[PM_FADING_TERMS];
    if (!was_struck)
        for (int32_t c = 0; c < width; c++) sum[c] += row[c];
    fade(now - w->struck_time, left);
    fade(now - before, of_before);
    for (int i = 0; i < PM_FADING_TERMS; i++) {
        const float share = was_struck ? 1.0f - of_before[i] : 1.0f;
        row += width;
        sum += width;
        for (int32_t c = 0; c < width; c++) sum[c] = sum[c] * left[i] + share * row[c];
    }
    w->struck_time = now;
}

/* `count`, and what it makes of the sums over struck keys. */
static pm_part take_in(const pm_model *m, pm_window *w, int32_t token, int32_t neighbours[3]) {
    const int32_t pitch = token - m->shape.note_on;
    const int is_onset = within(pitch, m->shape.num_pitches);
    const int was_struck = is_onset && w->tracker.struck[pitch];
    const int32_t before = was_struck ? w->tracker.onset_time[pitch] : 0;
    const pm_part part = count(&m->shape, &w->tracker, token, neighbours);
    if (is_onset && part == PM_MUSIC) strike(m, w, pitch, was_struck, before);
    return part;
}

static void push(const pm_model *m, pm_window *w, int32_t token) {
    const pm_shape *s = &m->shape;
    int32_t around[3] = {0, 0, 0};
    const pm_part part = s->events ? take_in(m, w, token, around) : PM_MUSIC;
    const int32_t before = w->length, width = s->width;
    const int32_t place = w->newest = next_place(w->newest, &w->length, w->capacity);
    w->start += w->length == before; /* the oldest went */
    uint16_t *rows = w->rows + (size_t)place * 4;
    w->tokens[place] = token;
    rows[0] = token;
    if (part == PM_AFTER && s->gap_embeddings) {
        rows[0] += s->vocabulary;
        w->num_ids = m->num_ids;
    }
    move_on(m, w, token, part);
    float cosines[width], sines[width];
    angles(m, w, cosines, sines);
    if (!s->neighbours) {
        write_angles(m, w, place, cosines, sines);
        return;
    }
    float key[width], norms[s->heads];
    memcpy(key, m->key_rows + (size_t)rows[0] * width, sizeof key);
    size_t row = m->num_ids;
    const int32_t sizes[3] = {s->vocabulary + 1, s->num_pitches + 1, s->num_pitches + 1};
    for (int kind = 0; kind < 3; row += sizes[kind++]) {
        rows[1 + kind] = row + around[kind];
        const float *more = m->key_rows + (size_t)rows[1 + kind] * width;
        for (int32_t c = 0; c < width; c++) key[c] += more[c];
    }
    norm_and_turn(m, cosines, sines, key, norms);
    write_context_key(m, w, place, key, norms);
}

/* The terms of a key that is held. */
static void held_terms(const pm_tracker *t, int32_t pitch, float terms[PM_HELD_TERMS]) {
    const float age = (float)(t->time - t->onset_time[pitch]) / STEPS_PER_SECOND;
    terms[0] = 1.0f;
    terms[1] = log1pf(age / LOG_SECONDS) / 4.0f;
    for (int i = 0; i < 4; i++) terms[2 + i] = expf(age / -HELD_SECONDS[i]);
}

/* What the counted state adds to a latent. */
static void add_events(const pm_model *m, const pm_window *w, float *x) {
    const int32_t width = m->shape.width;
    const pm_tracker *t = &w->tracker;
    const float *velocity = m->velocity_rows + (size_t)t->velocity * width;
    const float *last = m->onset_rows[0] + (size_t)t->onsets[0] * width;
    const float *second = m->onset_rows[1] + (size_t)t->onsets[1] * width;
    const float *sum = w->struck;
    for (int32_t c = 0; c < width; c++) x[c] += sum[c] + velocity[c] + last[c] + second[c];
    float left[PM_FADING_TERMS];
    fade(t->time - w->struck_time, left);
    for (int i = 0; i < PM_FADING_TERMS; i++) {
        sum += width;
        for (int32_t c = 0; c < width; c++) x[c] += left[i] * sum[c];
    }
    for (int32_t i = 0; i < t->num_struck; i++) {
        const int32_t pitch = t->struck_list[i];
        if (!t->held[pitch]) continue;
        float terms[PM_HELD_TERMS];
        held_terms(t, pitch, terms);
        const float *row = m->key_terms + (size_t)pitch * PM_TERMS * width;
        for (int j = 0; j < PM_HELD_TERMS; j++, row += width)
            for (int32_t c = 0; c < width; c++) x[c] += terms[j] * row[c];
    }
}

/* What having been struck adds to each key's logit of NOTE_ON, in the order of `struck_list`. */
static void struck_prospects(const pm_tracker *t, const float *rates, float *on) {
    float ages[PM_PITCHES] = {0};
    for (int32_t i = 0; i < t->num_struck; i++)
        ages[i] = (float)(t->time - t->onset_time[t->struck_list[i]]) / STEPS_PER_SECOND;
    for (int32_t i = 0; i < t->num_struck; i += LANES) {
        vf sum = splat(rates[0]);
        for (int j = 0; j < PM_FADING_TERMS; j++) {
            const vf power = load(ages + i) * splat(-LOG2_E / STRUCK_SECONDS[j]);
            sum += power_of_two(larger(power, splat(-126.0f))) * splat(rates[1 + j]);
        }
        store(on + i, sum);
    }
}

/* Moves the logits of each key's NOTE_ON and NOTE_OFF by its own state. */
static void add_prospects(const pm_model *m, const pm_tracker *t, const float *rates, float *logits) {
    float on[PM_PITCHES];
    struck_prospects(t, rates + PM_HELD_TERMS, on);
    for (int32_t i = 0; i < t->num_struck; i++) {
        const int32_t pitch = t->struck_list[i];
        float off = 0.0f;
        if (t->held[pitch]) {
            float terms[PM_HELD_TERMS];
            held_terms(t, pitch, terms);
            for (int j = 0; j < PM_HELD_TERMS; j++) {
                on[i] += terms[j] * rates[j];
                off += terms[j] * rates[PM_TERMS + j];
            }
        }
        logits[m->shape.note_on + pitch] += on[i];
        logits[m->shape.note_off + pitch] += off;
    }
}

#endif
