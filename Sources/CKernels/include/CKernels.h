// Float32 mathematics on raw pointers. Every function is single-threaded, takes its scratch from
// the caller and allocates nothing. It gives each row of a result the same bits, whatever other rows
// are computed with it: the order of a sum does not depend on the number of rows.
//
// Pointers never alias unless a comment says so. Sizes are in elements.
#pragma once
#include <stddef.h>
#include <stdint.h>

// A packed matrix: columns in panels of 32, each panel [inner][32], the last one padded with
// zeros. One layout serves every instruction set, thin products and wide ones.
enum { L2S_PANEL = 32 };
// Inner steps that share a range in int4.
enum { L2S_GROUP = 32 };

// GELU is the one by tanh, ERROR_GELU the one by erf; SILU is x / (1 + e^−x).
typedef enum {
    L2S_NONE = 0,
    L2S_RELU = 1,
    L2S_GELU = 2,
    L2S_SILU = 3,
    L2S_ERROR_GELU = 4,
} l2s_activation;

// INT4 is for weights only.
typedef enum { L2S_F32 = 0, L2S_BF16 = 1, L2S_INT8 = 2, L2S_INT4 = 3 } l2s_format;

// Packed weights [inner → columns]. Panels of bf16 and int8 consist of cells of four bytes, which hold
// neighbouring inner steps of one column: bf16 [inner / 2][32][2], int8 [inner / 4][32][4], with inner
// padded by zeros. int8: column j of the matrix is q · scales[j]; sums[j] is the sum of its quants (a
// whole number). Scales and sums are padded to whole panels.
//
// int4: cells of eight inner steps [inner / 8][32][4], the first four in the low halves of the bytes, with
// inner padded to groups of L2S_GROUP. A weight is half · scale + low, by the scale and the low end of its
// group, float16 of group_scales and group_lows [panels][inner / L2S_GROUP][32]. Where group_lows is null, all
// low ends are −8 · scale. The other operand is quantised in the same groups.
//
// At the levels with bf16 instructions (AVX512_BF16, AMX), a product with bf16 weights rounds its other
// operand to bf16, too: to the nearest, ties to even. Sums are float32 at every level.
typedef struct {
    l2s_format format;
    const void *panels;
    const float *scales;
    const float *sums;
    const uint16_t *group_scales;
    const uint16_t *group_lows;
} l2s_matrix;

// The keys and values of one sequence in one layer. `capacity`: its positions, a multiple of L2S_PANEL.
//   F32, BF16: keys per head a packed matrix [head_width → capacity]; values [heads, capacity,
//              head_width]; no scales.
//   INT8:      keys per head a packed matrix [head_width → capacity]; values per head a packed
//              matrix [capacity → head_width]; both scales [heads, capacity], one per vector.
typedef struct {
    l2s_format format;
    size_t heads, head_width, capacity;
    void *keys, *values;
    float *key_scales, *value_scales;
} l2s_cache;

// How query rows attend to the `length` positions that a cache holds. Row r stands at `position` + r
// among them and sees `before` positions before its own and `after` behind it, SIZE_MAX for all.
// `group` query heads side by side share one head of the cache. Scores are multiplied by `scale`,
// become cap · tanh(score / cap) where `cap` is not 0, and get a bias: that of row r and query head h
// starts at bias + h · bias_stride + r · bias_step; bias may be null.
typedef struct {
    size_t length, position, before, after, group;
    float scale, cap;
    const float *bias;
    size_t bias_stride;
    ptrdiff_t bias_step;
} l2s_attention;

typedef enum {
    L2S_PORTABLE = 0,
    L2S_AVX2 = 1,
    L2S_AVX512 = 2,
    L2S_AVX512_VNNI = 3,
    L2S_NEON_DOTPROD = 4,
    L2S_AVX512_BF16 = 5,
    L2S_AMX = 6,
} l2s_level;

// One step of AdamW (Loshchilov and Hutter, arXiv 1711.05101). The corrections are 1 − β^step.
typedef struct {
    float rate, beta1, beta2, epsilon, decay, gradient_scale, mean_correction, square_correction;
} l2s_adamw;

// A matrix of floats, row-major, whose rows lie `stride` apart.
typedef struct {
    const float *values;
    size_t stride;
    int transposed;
} l2s_operand;

typedef struct l2s_kernels {
    // c[rows, columns] (+)= a[rows, inner] · b + bias, then the activation.
    // `accumulate`: add to what c holds. `bias` may be null. scratch: l2s_scratch_bytes(format, rows,
    // inner) on a 64-byte boundary.
    void (*matmul)(const float *a, size_t lda, size_t rows, size_t inner, const l2s_matrix *b,
                   size_t columns, float *c, size_t ldc, int accumulate, const float *bias,
                   l2s_activation activation, void *scratch);

    // out[r, :] = x[r, :] · rsqrt(mean(x²) + epsilon) · weight. out may be x.
    void (*rms_norm)(const float *x, const float *weight, float epsilon, size_t rows, size_t width,
                     float *out);

    // out[r, :] = (x − mean) · rsqrt(variance + epsilon) · weight + bias
    void (*layer_norm)(const float *x, const float *weight, const float *bias, float epsilon,
                       size_t rows, size_t width, float *out);

    // In place on rows of `width` out of `stride`: softmax(x · scale + bias), where the bias of
    // row r starts at bias + r · bias_step (bias_step may be −1; bias may be null).
    void (*softmax)(float *x, size_t stride, size_t rows, size_t width, float scale,
                    const float *bias, ptrdiff_t bias_step);

    // gate[i] = gelu(gate[i]) · up[i]
    void (*gated_gelu)(float *gate, const float *up, size_t count);
    // gate[i] = gate[i] / (1 + e^−gate[i]) · up[i]
    void (*gated_silu)(float *gate, const float *up, size_t count);
    // x[i] = cap · tanh(x[i] · scale)
    void (*soft_cap)(float *x, size_t count, float scale, float cap);

    // Rotary positions (arXiv 2104.09864), in place: rows of heads · width, `stride` apart. Channels
    // i and i + width / 2 of every head turn by an angle whose cosine and sine are
    // angles[r · width + i] and angles[r · width + width / 2 + i].
    void (*rotate)(float *x, size_t stride, size_t rows, size_t heads, size_t width,
                   const float *angles);

    // The peak rate that products are compared with: 256 · rounds multiplications and as many additions,
    // in registers.
    float (*multiply_add)(size_t rounds);
    // The peak rates of int8 (393,216 · rounds multiplications and as many additions) and of bf16
    // (196,608 · rounds), with operands in the first-level cache.
    int32_t (*multiply_add_int8)(size_t rounds);
    float (*multiply_add_bf16)(size_t rounds);

    // The largest value of x; NaN is passed over.
    float (*highest)(const float *x, size_t count);
    // ln Σ e^x, to 1e-6, without overflow; NaN counts as nothing. count is not 0.
    float (*log_sum_exp)(const float *x, size_t count);

    // out[r] = softmax(scores of queries[r] · keysᵀ) · values, head by head: queries and out
    // [rows, group · heads · head_width], ldq and ldo apart. An int8 cache is multiplied in int8.
    // scratch: l2s_attend_scratch(rows, group, cache) floats on a 64-byte boundary.
    void (*attend)(const float *queries, size_t ldq, size_t rows, const l2s_cache *cache,
                   const l2s_attention *attention, float *scratch, float *out, size_t ldo);

    // Writes `count` positions from `position` on: key and value [count, heads · head_width],
    // `stride` apart.
    void (*remember)(const l2s_cache *cache, size_t position, size_t count, const float *key,
                     const float *value, size_t stride);

    // Training. x and weight are those of the forward pass. Gradients are added to dx, dweight and dbias.
    void (*rms_norm_backward)(const float *x, const float *weight, float epsilon, const float *dy,
                              size_t rows, size_t width, float *dx, float *dweight);
    void (*layer_norm_backward)(const float *x, const float *weight, float epsilon,
                                const float *dy, size_t rows, size_t width, float *dx,
                                float *dweight, float *dbias);
    // In place: the gradient of probabilities p becomes that of the scores before their `scale`.
    void (*softmax_backward)(const float *p, float *dp, size_t rows, size_t width, float scale);
    // out[i] = gelu(x[i]) · up[i], or gelu(x[i]) where up is null.
    void (*gelu)(const float *x, const float *up, size_t count, float *out);
    // Writes dx, and dup where up is not null. dx may be dy.
    void (*gelu_backward)(const float *x, const float *up, const float *dy, size_t count,
                          float *dx, float *dup);
    // out[i] = x[i] / keep for a share `keep` of the elements, 0 for the others. Which ones depends
    // on key and first + i only. out may be x.
    void (*dropout)(const float *x, size_t count, uint64_t key, uint32_t first, float keep,
                    float *out);
    // losses[r] = −Σ q log softmax(logits[r]), q = 1 − smoothing at the target plus smoothing /
    // columns everywhere; logits become the gradient of that times `scale`.
    void (*cross_entropy)(float *logits, size_t rows, size_t columns, const int32_t *targets,
                          float smoothing, float scale, float *losses);
    void (*adamw)(float *value, const float *gradient, float *mean, float *square, size_t count,
                  l2s_adamw settings);
    // c[rows, columns] (+)= scale · a · b, where a is [rows, inner] and b [inner, columns] unless they
    // are transposed. scale · a and b are rounded to bf16, sums are float32. Null at levels without
    // bf16 instructions. scratch: l2s_product_scratch_bytes on a 64-byte boundary. Unlike in all other
    // kernels, the bits of a row may depend on the number of rows.
    void (*product_bf16)(const l2s_operand *a, const l2s_operand *b, size_t rows, size_t inner,
                         size_t columns, float scale, int accumulate, float *c, size_t ldc,
                         void *scratch);
    // out[i] = silu(gate[i]) · up[i], silu(x) = x / (1 + exp(−x)) (Shazeer, arXiv 2002.05202). out may be gate.
    void (*swiglu)(const float *gate, const float *up, size_t count, float *out);
    // Writes dgate and dup. dgate may be dy.
    void (*swiglu_backward)(const float *gate, const float *up, const float *dy, size_t count,
                                float *dgate, float *dup);
    // Takes each block of each row through a Hadamard transform, without a factor: a second transform
    // gives the block times its width. width is a multiple of block; block is 16, 32 or 64. x's rows lie
    // ldx apart. out is [rows, width] and may be x. The bits are the same at all levels.
    void (*hadamard)(const float *x, size_t ldx, size_t rows, size_t width, size_t block, float *out);
} l2s_kernels;

// The kernels of a level, or null where this machine cannot run them.
const l2s_kernels *l2s_kernels_for(l2s_level level);
// Whether AVX512-BF16 is faster than float32 on this processor. It is on AMD's processors; Intel's need
// twice as long for one of its instructions. The maker decides, not a measurement, because the bits of
// outputs depend on the answer.
int l2s_has_fast_bf16(void);
// The naive twins that each level is tested against.
const l2s_kernels *l2s_reference_kernels(void);

// Floats that a packed [inner → columns] matrix takes.
size_t l2s_packed_count(size_t inner, size_t columns);
// Packs rows: w[columns, inner], row-major with stride ldw, as linear layers are stored.
void l2s_pack_rows(const float *w, size_t ldw, size_t columns, size_t inner, float *packed);
// Packs columns: b[inner, columns], row-major with stride ldb.
void l2s_pack_columns(const float *b, size_t ldb, size_t inner, size_t columns, float *packed);
// Pack rows in fewer bits: as bf16, rounded to the nearest, ties to even, or as int8 with the scale of
// each column and the sum of its quants.
void l2s_pack_rows_bf16(const float *w, size_t ldw, size_t columns, size_t inner, uint16_t *packed);
void l2s_pack_rows_int8(const float *w, size_t ldw, size_t columns, size_t inner, int8_t *packed,
                        float *scales, float *sums);
// Groups of GGML's Q4_0, multiples of a float16 by −8 … 7, keep their values, and so do those of Q4_1 of which
// one is the low end. Others take the range that leaves about the least squared error.
void l2s_pack_rows_int4(const float *w, size_t ldw, size_t columns, size_t inner, uint8_t *packed,
                        uint16_t *scales, uint16_t *lows);
// Bytes of scratch that a product with weights of that format takes at any level.
size_t l2s_scratch_bytes(l2s_format format, size_t rows, size_t inner);
// Bytes of scratch that product_bf16 takes.
size_t l2s_product_scratch_bytes(size_t inner, size_t columns);
// Bytes of a cache's keys, of its values, and (both together) of its scales.
size_t l2s_cache_key_bytes(const l2s_cache *cache);
size_t l2s_cache_value_bytes(const l2s_cache *cache);
size_t l2s_cache_scale_bytes(const l2s_cache *cache);
// Copies the first `count` positions between caches that differ in nothing but their capacity. Later
// positions of the target are undefined afterwards.
void l2s_cache_copy(const l2s_cache *target, const l2s_cache *source, size_t count);
// Floats of scratch that `attend` takes.
size_t l2s_attend_scratch(size_t rows, size_t group, const l2s_cache *cache);

// Keeps the calling thread on one of the processors that it may run on: the index-th, modulo their
// number. Returns 0 where that is not permitted.
int l2s_pin_thread(size_t index);
// Waits for about ten nanoseconds, in a loop that waits for another thread. With `yields`, it lets other
// threads of the machine run first.
void l2s_pause(int yields);
