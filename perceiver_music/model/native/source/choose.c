/* The draw of an event, as perceiver_music/generation/sampling.py has it in numpy, which is its
 * oracle: there a dozen calls, whose code a step has driven out of the caches since the last event. */
#include <math.h>
#include <string.h>

#include "api.h"

#define COLDEST 1e-200 /* a lower temperature draws the same, and a division by it could overflow */

typedef struct {
    int32_t count, ids[PM_MOST_IDS]; /* rising */
    double weights[PM_MOST_IDS];
} choices;

/* Four to an octave, the bits of a double but for its last 50: the larger, the larger. */
static int32_t bucket_of(double weight) {
    uint64_t bits;
    memcpy(&bits, &weight, sizeof bits);
    return (int32_t)(bits >> 50);
}

/* Largest first: into buckets, those of the tiniest weights in the last, and then by insertion. */
static void sort_falling(double *falling, const double *weights, int32_t count) {
    enum { NUM_BUCKETS = 1024 };
    int32_t past[NUM_BUCKETS] = {0}, buckets[PM_MOST_IDS], top = 0, last = 0;
    for (int32_t i = 0; i < count; i++) {
        buckets[i] = bucket_of(weights[i]);
        if (buckets[i] > top) top = buckets[i];
    }
    for (int32_t i = 0; i < count; i++) {
        const int32_t below = top - buckets[i];
        buckets[i] = below < NUM_BUCKETS ? below : NUM_BUCKETS - 1;
        if (buckets[i] > last) last = buckets[i];
        past[buckets[i]]++;
    }
    for (int32_t b = 1; b <= last; b++) past[b] += past[b - 1];
    for (int32_t i = 0; i < count; i++) falling[--past[buckets[i]]] = weights[i];
    for (int32_t i = 1; i < count; i++) {
        const double weight = falling[i];
        int32_t at = i;
        for (; at > 0 && falling[at - 1] < weight; at--) falling[at] = falling[at - 1];
        falling[at] = weight;
    }
}

/* How many of the weights, largest first, are likely enough; one at least. */
static int32_t count_kept(const double *falling, int32_t count, const pm_draw *how) {
    int32_t kept = count;
    if (how->top_p > 0.0) {
        double sums[PM_MOST_IDS], sum = 0.0;
        for (int32_t i = 0; i < count; i++) sums[i] = sum += falling[i];
        kept = 1;
        while (kept < count && sums[kept - 1] < how->top_p * sum) kept++;
    }
    int32_t likely = kept;
    if (how->min_p > 0.0)
        for (likely = 0; likely < kept && falling[likely] >= how->min_p * falling[0];) likely++;
    return how->top_k > 0 && how->top_k < likely ? how->top_k : likely;
}

/* Zero weight for those that are cut; ties go to the lower id. */
static void cut(choices *c, const pm_draw *how) {
    double falling[PM_MOST_IDS];
    sort_falling(falling, c->weights, c->count);
    const int32_t kept = count_kept(falling, c->count, how);
    const double least = falling[kept - 1];
    int32_t above = 0;
    while (falling[above] > least) above++;
    for (int32_t i = 0, tied = kept - above; i < c->count; i++)
        if (c->weights[i] < least || (c->weights[i] == least && tied-- <= 0)) c->weights[i] = 0.0;
}

/* What the model gives to all longer times goes to the longest that is allowed. */
static void add_longer_times(
    choices *c, const float *logits, double highest, double temperature, const pm_draw *how
) {
    int32_t longest = c->count - 1;
    while (longest >= 0 && c->ids[longest] >= how->past_times) longest--;
    if (longest < 0 || c->ids[longest] < how->first_time) return;
    if (c->ids[longest] == how->past_times - 1) return;
    double excess = 0.0, sum = 0.0;
    for (int32_t id = c->ids[longest] + 1; id < how->past_times; id++)
        excess = fmax(excess, (logits[id] - highest) / temperature);
    for (int32_t id = c->ids[longest] + 1; id < how->past_times; id++)
        sum += exp((logits[id] - highest) / temperature - excess);
    const double scale = exp(-excess);
    for (int32_t i = 0; i < c->count; i++) c->weights[i] *= scale;
    c->weights[longest] += sum;
}

/* The id at a point of the weights laid side by side. */
static int32_t at_point(const choices *c, double random) {
    double sum = 0.0, sums[PM_MOST_IDS];
    int32_t last = 0;
    for (int32_t i = 0; i < c->count; i++) {
        sums[i] = sum += c->weights[i];
        if (c->weights[i] > 0.0) last = i;
    }
    for (int32_t i = 0; i < last; i++)
        if (sums[i] > random * sum) return c->ids[i];
    return c->ids[last];
}

int32_t pm_choose(
    const float *logits, const uint8_t *allowed, int32_t size, const pm_draw *how, double random
) {
    choices c;
    c.count = 0;
    double total = 0.0;
    int32_t likeliest = -1;
    for (int32_t id = 0; id < size; id++) {
        total += logits[id];
        if (!allowed[id]) continue;
        if (likeliest < 0 || logits[id] > logits[likeliest]) likeliest = id;
        c.ids[c.count++] = id;
    }
    if (!isfinite(total) || likeliest < 0) return -1;
    if (how->temperature == 0.0) return likeliest;
    const double highest = logits[likeliest], temperature = fmax(how->temperature, COLDEST);
    for (int32_t i = 0; i < c.count; i++)
        c.weights[i] = exp((logits[c.ids[i]] - highest) / temperature);
    add_longer_times(&c, logits, highest, temperature, how);
    cut(&c, how);
    return at_point(&c, random);
}
