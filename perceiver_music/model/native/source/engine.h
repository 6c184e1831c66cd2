/* The data of the native decoder, shared by all its files; see docs/adr/0005.
 *
 * A matrix is kept in blocks of 16 outputs, so that a vector register holds 16 outputs and no sum
 * ever runs across a register. Every output of every row is added up in the same order however
 * many rows are computed together: a row's result does not depend on its company.
 */
#ifndef PM_ENGINE_H
#define PM_ENGINE_H

#include <stddef.h>
#include <stdint.h>

#define PM_ABI 5
#define PM_BLOCK 16       /* outputs, or context positions, side by side */
#define PM_GROUP 64       /* inputs under one scale of their own in int8 */
#define PM_MAX_ROWS 32    /* rows computed together */
#define PM_MOST_HEAD_WIDTH 1024
#define PM_PITCHES 128
#define PM_HELD_TERMS 6
#define PM_FADING_TERMS 4
#define PM_TERMS (PM_HELD_TERMS + 1 + PM_FADING_TERMS)

/* A piece of memory that is given away from front to back, and those before it. */
typedef struct pm_pool {
    struct pm_pool *before;
    size_t used, size;
} pm_pool;

enum { PM_FP32 = 0, PM_INT8 = 1 };
enum { PM_FROM_FP32 = 0, PM_FROM_BF16 = 1 };
enum { PM_KIND_FP32 = 0, PM_KIND_BF16 = 1, PM_KIND_INT8 = 2 };

/* Shape of a network, as Python gives it; all fields are int32 but the last two. */
typedef struct {
    int32_t vocabulary, width, heads, layers, hidden;
    int32_t pairs, time_pairs;        /* pairs of channels turned by number, by time */
    int32_t previous, value_tables, events, neighbours, gap_embeddings;
    int32_t note_on, note_off, time_shift, velocity, suffix, middle;
    int32_t num_pitches, num_shifts, num_velocities;
    float soft_cap;                   /* 0 for none */
    double max_wavelength;
} pm_shape;

typedef struct {
    int32_t in, out;                  /* as in the network */
    int32_t in_padded, blocks;        /* in rounded up to PM_GROUP; blocks of PM_BLOCK outputs */
    int32_t kind;
    void *data;                       /* fp32, bf16: [block][in][16]; int8: [block][in/4][16][4] */
    float *scale;                     /* int8: of each output */
} pm_linear;

typedef struct {
    pm_linear qkv, output, up, down;  /* the cross-attend has only queries in `qkv` */
    float *value_table;               /* [vocabulary][width] or NULL */
} pm_block;

typedef struct pm_model {
    pm_shape shape;
    struct pm_pool *pool;             /* of all that is pointed to here, but: */
    float *raw_keys, *raw_values;     /* what tables are made of: [width][width] */
    int32_t precision;
    int32_t head_width, head_groups, value_width; /* channels; fours of them; rounded up to 16 */
    int32_t num_ids;                  /* a context's: of tokens, then of those after a gap */
    int32_t num_key_rows, table_rows; /* of key_rows; of key_table, which is padded */
    int32_t bundle;                   /* heads side by side in the context's tables, 4 or 8 */
    int32_t turned;                   /* channels of a head that turn */
    size_t kept_bytes;                /* of a head of a position: see kept_keys.h */
    int32_t units;                    /* of 32 bits, of a position's angles: see token_keys.h */
    float *embedding, *previous;      /* [vocabulary][width], the first one normed */
    float *after_gap;                 /* [vocabulary][width]: what is added behind a gap */
    float *key_rows;                  /* [num_ids + neighbours][width] */
    void *value_rows;                 /* [head][num_ids][value_width]; bf16 in int8 */
    void *key_table;                  /* what never turns of key_rows: [bundle][lanes] */
    float *key_table_scale;           /* [bundle][row][head of the bundle] */
    void *turned_rows;                /* what turns: [bundle][id][2][unit]; int8: of 16 bits each */
    float *turned_most;               /* [head][pair]: of all ids' sizes */
    pm_block cross, *blocks;
    pm_linear logits, rates;
    float *rates_bias;
    float *key_terms;                 /* [pitch][PM_TERMS][width] */
    float *velocity_rows, *onset_rows[2];
    double *step_cos, *step_sin;      /* [pairs]: one position on */
    double *shift_cos, *shift_sin;    /* [1 + num_shifts][time_pairs]: so many steps on */
    const struct pm_kernels *kernels;
} pm_model;

/* Of the keys of so many heads of 16 positions, in whole cache lines: see kept_keys.h. */
static inline size_t pm_record_bytes(const pm_model *m, int32_t heads) {
    return (heads * PM_BLOCK * m->kept_bytes + 63) / 64 * 64;
}

/* Where a unit of a head lies among those of its bundle: see token_keys.h. */
static inline size_t pm_unit_at(int32_t bundle, int32_t head, int32_t unit) {
    const int32_t group = PM_BLOCK / bundle;
    return (size_t)unit / group * PM_BLOCK + head % bundle * group + unit % group;
}

/* What a player knows after the events so far: see perceiver_music/model/event_state.py. */
typedef struct {
    int32_t time, velocity, token, num_suffixes, num_middles, num_lasts;
    int32_t onsets[2], near[2];       /* pitch + 1 or 0: those counted; those of all tokens */
    uint8_t held[PM_PITCHES], struck[PM_PITCHES];
    int32_t onset_time[PM_PITCHES];
    int32_t num_struck;
    int32_t struck_list[PM_PITCHES];
} pm_tracker;

/* Keys and values of the latents of one layer; scales in int8: [head][latent]. */
typedef struct {
    void *keys, *values;
    float *key_scale, *value_scale;
} pm_cache;

/* A window: the context from `start` on, and the latents at its end with their caches. One that is
 * full forgets its oldest position for a new one, which takes its place: order is in the keys. */
typedef struct {
    int64_t start;                    /* index of its first token in the whole */
    int32_t length, latents;          /* positions; latents among them */
    int32_t newest, newest_latent;    /* places of the last ones */
    int32_t capacity, latent_capacity;
    int32_t *tokens;                  /* [capacity] */
    uint16_t *rows;                   /* [capacity][4]: of key_rows; the first is the context's id.
                                         Without neighbours the last two are as token_keys.h has it */
    int32_t num_ids;                  /* no id is this large */
    void *keys;                       /* of the context: [bundle][record], or [position][unit] */
    pm_cache *caches;                 /* [layers] */
    double *phase_cos, *phase_sin;    /* [pairs + time_pairs]: of the last position */
    double *kept_cos, *kept_sin;      /* the same of the last one before a prompt's SUFFIX */
    int32_t gap_steps;                /* how long the gap of its prompt is */
    pm_tracker tracker;
    float *struck;                    /* [1 + PM_FADING_TERMS][width]: what struck keys add */
    int32_t struck_time;              /* when the fading sums were as they are kept */
    char *memory;                     /* of all that is pointed to here */
    size_t bytes;
} pm_window;

/* One position that goes through the stack. */
typedef struct {
    pm_window *window;
    int32_t index, latent, token;     /* number in the window, and among its latents */
    int32_t place;                    /* of its latent */
    float *logits;                    /* NULL where nobody asks */
} pm_row;

/* Attention whose values are rows of a table: see table_attention.h. All is fp32 and without gaps; a
 * pair is a head of a sequence, `sequence * heads + head`. `width` is a multiple of PM_BLOCK. */
typedef struct {
    int32_t heads, queries, keys, width, num_ids;
    const float *query, *key;         /* [pair][queries][width], [pair][keys][width] */
    const float *table;               /* [head][num_ids][width] */
    const int32_t *ids;               /* [sequence][keys] */
    const uint8_t *visible;           /* [sequence][keys], or NULL: all */
    float *mixed, *inverse;           /* [pair][queries][width]; [pair][queries]: of sums of weights */
    const float *slope;               /* of `mixed`: NULL on the way forward */
    float *query_slope, *key_slope;   /* as the query and the key; zeros to begin with, as is */
    float *table_slope;               /* [pair][num_ids][width] */
} pm_attention;

struct pm_kernels {
    const char *name;
    /* Takes a token into a window's context and counts; no latent yet. */
    void (*push)(const pm_model *, pm_window *, int32_t token);
    /* Pushes each row's token, computes it as a latent, and fills the logits asked for. */
    void (*run)(const pm_model *, pm_row *rows, int32_t num_rows, char *scratch);
    /* y = W x for some rows, in the matrix's own arithmetic. */
    void (*linear)(const pm_linear *, const float *x, int32_t num_rows, float *y, char *scratch);
    /* Attention of some pairs, forward or backward; not 0 when memory is short. */
    int32_t (*attend)(const pm_attention *, int32_t from, int32_t to);
};

/* Bytes of scratch that `run` wants for so many rows of up to so many latents. */
size_t pm_scratch_bytes(const pm_model *, int32_t num_rows, int32_t latents);

extern const struct pm_kernels pm_kernels_generic;
extern const struct pm_kernels pm_kernels_avx2;
extern const struct pm_kernels pm_kernels_avx512;
extern const struct pm_kernels pm_kernels_avx512vnni;

#endif
