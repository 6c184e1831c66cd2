/* What Python calls; see perceiver_music/model/native/library.py. */
#ifndef PM_API_H
#define PM_API_H

#include "engine.h"

/* Places of weights; the order is that of library.Slot. */
enum {
    PM_EMBEDDING, PM_PREVIOUS, PM_CONTEXT_KEYS, PM_CONTEXT_VALUES,
    PM_CROSS_QUERY, PM_CROSS_OUTPUT, PM_CROSS_UP, PM_CROSS_DOWN,
    PM_LAYER_QKV, PM_LAYER_OUTPUT, PM_LAYER_UP, PM_LAYER_DOWN, PM_VALUE_TABLE,
    PM_LOGITS, PM_KEY_TERMS, PM_VELOCITY, PM_LAST_ONSET, PM_SECOND_ONSET, PM_RATES, PM_RATES_BIAS,
    PM_AFTER_GAP
};

typedef struct pm_decode pm_decode;

int32_t pm_abi(void);

/* What it was compiled from, as compile.hash_of_sources said it. */
const char *pm_sources(void);

/* Names of the kernels that run on this processor, the best first; NULL beyond the last. */
const char *pm_kernels_name(int32_t number);

/* NULL when memory is short or no such kernels run here; no name takes the best. */
pm_model *pm_model_new(const pm_shape *, int32_t precision, const char *kernels);

/* Copies the weights of one place, `[rows][columns]`, into it; not 0 when memory is short. */
int32_t pm_model_set(
    pm_model *, int32_t slot, int32_t layer, const void *data, int32_t from, int32_t rows,
    int32_t columns
);

/* After the last weights; these are the neighbours' own, if there are any. */
int32_t pm_model_finish(pm_model *, const void *neighbours, int32_t from, int32_t num_neighbours);
void pm_model_free(pm_model *);

/* A decode after `num_tokens` tokens, whose logits are filled. The next set of latents grows
 * `stride` latents at a time beside the present one; with a stride of 0 there is no next one, and
 * the window slides instead. NULL when memory is short. */
pm_decode *pm_decode_new(
    const pm_model *, const int32_t *tokens, int64_t num_tokens, int32_t context, int32_t latents,
    int32_t stride, float *logits
);
pm_decode *pm_decode_copy(const pm_decode *);
void pm_decode_free(pm_decode *);

/* One token more for each of several decodes of one model; `logits` is `[count][vocabulary]`. */
int32_t pm_advance(pm_decode *const *, const int32_t *tokens, int32_t count, float *logits);

/* Where the context starts, and how many latents there are. */
void pm_decode_where(const pm_decode *, int64_t *context_start, int32_t *num_latents);

/* How much was computed: positions through the stack, and times that its weights were read for
 * them. Of a step for several decodes it is all counted with the one that has most latents allowed,
 * the first of those; what a copy was copied from computed is not its own. */
void pm_decode_work(const pm_decode *, int64_t *rows, int64_t *passes);

/* How an event is drawn: `SamplingOptions` in Python, zero for what is not asked for, and which ids
 * are TIME_SHIFTs, the shortest first. */
typedef struct {
    double temperature, top_p, min_p;
    int32_t top_k, first_time, past_times;
} pm_draw;

#define PM_MOST_IDS 1024

/* One of up to PM_MOST_IDS ids by a random number below 1; negative where the logits are none. */
int32_t pm_choose(
    const float *logits, const uint8_t *allowed, int32_t size, const pm_draw *how, double random
);

/* Attention of the pairs `from` to before `to`, by the kernels of that name or the best; not 0 when
 * memory is short or no such kernels run here. */
int32_t pm_attend(const pm_attention *, int32_t from, int32_t to, const char *kernels);

/* A sum of so many bytes: how fast memory can be read, the limit that decoding is measured by. */
uint64_t pm_read(const void *data, int64_t bytes);

void *pm_get(size_t bytes); /* zeros, aligned to a cache line */

#endif
