// The naive twin of every kernel: loops a reader can check against the formula, sums in double.
#include <math.h>
#include <string.h>

#include "CKernels.h"

static float gelu(float x) {
    double u = 0.7978845608028654 * ((double)x + 0.044715 * (double)x * x * x);
    return (float)(0.5 * x * (1.0 + tanh(u)));
}

static float bf16_at(const void *values, size_t i) {
    uint32_t w = (uint32_t)((const uint16_t *)values)[i] << 16;
    float f;
    memcpy(&f, &w, sizeof f);
    return f;
}

static float quant_at(const void *panels, size_t inner, size_t k, size_t column) {
    size_t quads = (inner + 3) / 4, panel = column / L2S_PANEL, place = column % L2S_PANEL;
    return ((const int8_t *)panels)[((panel * quads + k / 4) * L2S_PANEL + place) * 4 + k % 4];
}

static double half_float(uint16_t h) {
    int exponent = h >> 10 & 31, mantissa = h & 1023;
    double magnitude = exponent ? ldexp(1024 + mantissa, exponent - 25) : ldexp(mantissa, -24);
    return h & 0x8000 ? -magnitude : magnitude;
}

static float int4_at(const l2s_matrix *b, size_t inner, size_t k, size_t column) {
    size_t groups = (inner + 31) / 32, panel = column / L2S_PANEL, place = column % L2S_PANEL;
    const uint8_t *cells = (const uint8_t *)b->panels + panel * groups * 4 * L2S_PANEL * 4;
    const size_t group = (panel * groups + k / 32) * L2S_PANEL + place;
    uint8_t both = cells[(k / 8 * L2S_PANEL + place) * 4 + k % 4];
    int half = k % 8 < 4 ? both & 15 : both >> 4;
    double scale = half_float(b->group_scales[group]);
    return (float)(half * scale + (b->group_lows ? half_float(b->group_lows[group]) : -8 * scale));
}

static float packed_at(const l2s_matrix *b, size_t inner, size_t k, size_t column) {
    if (b->format == L2S_INT4) return int4_at(b, inner, k, column);
    if (b->format == L2S_INT8) return quant_at(b->panels, inner, k, column) * b->scales[column];
    size_t panel = column / L2S_PANEL, place = column % L2S_PANEL;
    if (b->format == L2S_BF16)
        return bf16_at(b->panels,
                       ((panel * ((inner + 1) / 2) + k / 2) * L2S_PANEL + place) * 2 + k % 2);
    return ((const float *)b->panels)[(panel * inner + k) * L2S_PANEL + place];
}

static float largest(const float *x, size_t count) {
    float top = 0;
    for (size_t i = 0; i < count; i++) top = fmaxf(top, fabsf(x[i]));
    return top;
}

// What quantisation makes of x where the largest magnitude is `top`.
static double quantised(float x, float top) {
    return top > 0 ? rint((double)(x * (127.0f / top))) * (double)(top / 127.0f) : 0;
}

static void matmul(const float *a, size_t lda, size_t rows, size_t inner, const l2s_matrix *b,
                   size_t columns, float *c, size_t ldc, int accumulate, const float *bias,
                   l2s_activation activation, void *scratch) {
    (void)scratch;
    const int is_quantised = b->format == L2S_INT8 || b->format == L2S_INT4;
    // Neighbours that share a scale.
    const size_t group = b->format == L2S_INT4 ? L2S_GROUP : inner;
    for (size_t r = 0; r < rows; r++) {
        for (size_t j = 0; j < columns; j++) {
            double s = accumulate ? c[r * ldc + j] : 0;
            float top = 0;
            for (size_t k = 0; k < inner; k++) {
                if (is_quantised && k % group == 0)
                    top = largest(a + r * lda + k, inner - k < group ? inner - k : group);
                float x = a[r * lda + k];
                double value = is_quantised ? quantised(x, top) : x;
                s += value * packed_at(b, inner, k, j);
            }
            if (bias) s += bias[j];
            float v = (float)s;
            if (activation == L2S_RELU) v = v > 0 ? v : 0;
            if (activation == L2S_GELU) v = gelu(v);
            if (activation == L2S_SILU) v = v / (1 + expf(-v));
            if (activation == L2S_ERROR_GELU) v = v / 2 * (1 + erff(v * 0.70710678f));
            c[r * ldc + j] = v;
        }
    }
}

static void rms_norm(const float *x, const float *weight, float epsilon, size_t rows, size_t width,
                     float *out) {
    for (size_t r = 0; r < rows; r++, x += width, out += width) {
        double s = 0;
        for (size_t i = 0; i < width; i++) s += (double)x[i] * x[i];
        double scale = 1 / sqrt(s / (double)width + epsilon);
        for (size_t i = 0; i < width; i++) out[i] = (float)(x[i] * scale * weight[i]);
    }
}

static void layer_norm(const float *x, const float *weight, const float *bias, float epsilon,
                       size_t rows, size_t width, float *out) {
    for (size_t r = 0; r < rows; r++, x += width, out += width) {
        double s = 0, squares = 0;
        for (size_t i = 0; i < width; i++) s += x[i];
        double mean = s / (double)width;
        for (size_t i = 0; i < width; i++) squares += (x[i] - mean) * (x[i] - mean);
        double scale = 1 / sqrt(squares / (double)width + epsilon);
        for (size_t i = 0; i < width; i++)
            out[i] = (float)((x[i] - mean) * scale * weight[i] + bias[i]);
    }
}

static void softmax(float *x, size_t stride, size_t rows, size_t width, float scale,
                    const float *bias, ptrdiff_t bias_step) {
    for (size_t r = 0; r < rows; r++) {
        float *row = x + r * stride;
        double top = -INFINITY, total = 0;
        for (size_t i = 0; i < width; i++) {
            row[i] = row[i] * scale + (bias ? bias[(ptrdiff_t)r * bias_step + (ptrdiff_t)i] : 0);
            if (row[i] > top) top = row[i];
        }
        for (size_t i = 0; i < width; i++) total += exp(row[i] - top);
        for (size_t i = 0; i < width; i++) row[i] = (float)(exp(row[i] - top) / total);
    }
}

static void gated_gelu(float *gate, const float *up, size_t count) {
    for (size_t i = 0; i < count; i++) gate[i] = gelu(gate[i]) * up[i];
}

static void gated_silu(float *gate, const float *up, size_t count) {
    for (size_t i = 0; i < count; i++) gate[i] = (float)(gate[i] / (1 + exp(-gate[i])) * up[i]);
}

static void soft_cap(float *x, size_t count, float scale, float cap) {
    for (size_t i = 0; i < count; i++) x[i] = (float)(cap * tanh(x[i] * scale));
}

static void rotate(float *x, size_t stride, size_t rows, size_t heads, size_t width,
                   const float *angles) {
    for (size_t r = 0; r < rows; r++)
        for (size_t h = 0; h < heads; h++)
            for (size_t i = 0; i < width / 2; i++) {
                float *pair = x + r * stride + h * width + i;
                double a = pair[0], b = pair[width / 2];
                double cosine = angles[r * width + i], sine = angles[r * width + width / 2 + i];
                pair[0] = (float)(a * cosine - b * sine);
                pair[width / 2] = (float)(b * cosine + a * sine);
            }
}

static float highest(const float *x, size_t count) {
    float top = -INFINITY;
    for (size_t i = 0; i < count; i++) top = x[i] > top ? x[i] : top;
    return top;
}

static float log_sum_exp(const float *x, size_t count) {
    double top = highest(x, count), total = 0;
    for (size_t i = 0; i < count; i++) total += isnan(x[i]) ? 0 : exp(x[i] - top);
    return (float)(top + log(total));
}

// Value i of head h at position t; without its scale in int8.
static float value_at(const l2s_cache *c, size_t h, size_t t, size_t i) {
    size_t place = (h * c->capacity + t) * c->head_width + i;
    if (c->format == L2S_F32) return ((const float *)c->values)[place];
    if (c->format == L2S_BF16) return bf16_at(c->values, place);
    const char *values = (const char *)c->values + h * l2s_cache_value_bytes(c) / c->heads;
    return quant_at(values, c->capacity, t, i);
}

// Weights times the scales of int8 values, rounded to 14 bits.
static void round_weights(float *weights, const float *scales, size_t length) {
    float top = 0;
    for (size_t t = 0; t < length; t++) top = fmaxf(top, weights[t] *= scales[t]);
    for (size_t t = 0; t < length; t++)
        weights[t] = top > 0 ? rintf(weights[t] * (16383 / top)) * (top / 16383) : 0;
}

static void attend(const float *queries, size_t ldq, size_t rows, const l2s_cache *c,
                   const l2s_attention *a, float *scratch, float *out, size_t ldo) {
    for (size_t r = 0; r < rows; r++)
        for (size_t head = 0; head < c->heads * a->group; head++) {
            const size_t h = head / a->group, width = c->head_width;
            const char *keys = (const char *)c->keys + h * l2s_cache_key_bytes(c) / c->heads;
            l2s_matrix k = {.format = c->format, .panels = keys};
            if (c->key_scales) k.scales = c->key_scales + h * c->capacity;
            matmul(queries + r * ldq + head * width, ldq, 1, width, &k, a->length, scratch,
                   c->capacity, 0, 0, L2S_NONE, 0);
            for (size_t t = 0; t < a->length; t++) {
                size_t p = a->position + r;
                float score = scratch[t] * a->scale;
                if (a->cap != 0) score = (float)(a->cap * tanh(score / a->cap));
                if (a->bias)
                    score += a->bias[(ptrdiff_t)(head * a->bias_stride + t) +
                                     (ptrdiff_t)r * a->bias_step];
                int sees = t <= p ? p - t <= a->before : t - p <= a->after;
                scratch[t] = sees ? score : -INFINITY;
            }
            softmax(scratch, c->capacity, 1, a->length, 1, 0, 0);
            if (c->format == L2S_INT8)
                round_weights(scratch, c->value_scales + h * c->capacity, a->length);
            for (size_t i = 0; i < width; i++) {
                double s = 0;
                for (size_t t = 0; t < a->length; t++)
                    s += (double)scratch[t] * value_at(c, h, t, i);
                out[r * ldo + head * width + i] = (float)s;
            }
        }
}

static float rounded_to_bf16(float x) {
    uint32_t w;
    memcpy(&w, &x, sizeof w);
    uint16_t high = (uint16_t)((w + 0x7fff + (w >> 16 & 1)) >> 16);
    return bf16_at(&high, 0);
}

static void product_bf16(const l2s_operand *a, const l2s_operand *b, size_t rows, size_t inner,
                         size_t columns, float scale, int accumulate, float *c, size_t ldc,
                         void *scratch) {
    (void)scratch;
    for (size_t r = 0; r < rows; r++)
        for (size_t j = 0; j < columns; j++) {
            double s = accumulate ? c[r * ldc + j] : 0;
            for (size_t k = 0; k < inner; k++) {
                float x = a->values[a->transposed ? k * a->stride + r : r * a->stride + k];
                float y = b->values[b->transposed ? j * b->stride + k : k * b->stride + j];
                s += (double)rounded_to_bf16(scale * x) * rounded_to_bf16(y);
            }
            c[r * ldc + j] = (float)s;
        }
}

static void hadamard(const float *x, size_t ldx, size_t rows, size_t width, size_t block, float *out) {
    for (size_t r = 0; r < rows; r++, x += ldx, out += width) {
        if (out != x) memcpy(out, x, width * sizeof(float));
        for (size_t half = 1; half < block; half *= 2)
            for (size_t i = 0; i < width; i++) {
                if (i & half) continue;
                const float a = out[i], b = out[i + half];
                out[i] = a + b;
                out[i + half] = a - b;
            }
    }
}

#include "reference_training.inc"

static const l2s_kernels reference = {
    matmul, rms_norm, layer_norm, softmax, gated_gelu, gated_silu, soft_cap, rotate, 0, 0, 0,
    highest, log_sum_exp, attend, 0,
    rms_norm_backward, layer_norm_backward, softmax_backward, plain_or_gated_gelu, gelu_backward,
    dropout, cross_entropy, adamw, product_bf16,
    .swiglu = swiglu, .swiglu_backward = swiglu_backward, .hadamard = hadamard,
};

const l2s_kernels *l2s_reference_kernels(void) { return &reference; }
