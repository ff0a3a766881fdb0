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

static float packed_at(const l2s_matrix *b, size_t inner, size_t k, size_t column) {
    size_t panel = column / L2S_PANEL, place = column % L2S_PANEL;
    if (b->format == L2S_INT8) {
        size_t quads = (inner + 3) / 4;
        return ((const int8_t *)b->panels)[((panel * quads + k / 4) * L2S_PANEL + place) * 4 +
                                           k % 4] *
               b->scales[column];
    }
    size_t i = (panel * inner + k) * L2S_PANEL + place;
    return b->format == L2S_BF16 ? bf16_at(b->panels, i) : ((const float *)b->panels)[i];
}

// What quantisation makes of x in a row whose largest magnitude is `top`.
static double quantised(float x, float top) {
    return top > 0 ? rint((double)(x * (127.0f / top))) * (double)(top / 127.0f) : 0;
}

static void matmul(const float *a, size_t lda, size_t rows, size_t inner, const l2s_matrix *b,
                   size_t columns, float *c, size_t ldc, int accumulate, const float *bias,
                   l2s_activation activation, void *scratch) {
    (void)scratch;
    for (size_t r = 0; r < rows; r++) {
        float top = 0;
        for (size_t k = 0; k < inner; k++) top = fmaxf(top, fabsf(a[r * lda + k]));
        for (size_t j = 0; j < columns; j++) {
            double s = accumulate ? c[r * ldc + j] : 0;
            for (size_t k = 0; k < inner; k++) {
                float x = a[r * lda + k];
                double value = b->format == L2S_INT8 ? quantised(x, top) : x;
                s += value * packed_at(b, inner, k, j);
            }
            if (bias) s += bias[j];
            float v = (float)s;
            if (activation == L2S_RELU) v = v > 0 ? v : 0;
            if (activation == L2S_GELU) v = gelu(v);
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

static void attend(const float *query, l2s_format format, const void *keys, const void *values,
                   size_t heads, size_t head_width, size_t capacity, size_t length, float scale,
                   const float *bias, size_t bias_stride, float *scratch, float *out) {
    for (size_t h = 0; h < heads; h++) {
        size_t first = h * capacity * head_width;
        l2s_matrix k = {format, (const char *)keys + first * (format == L2S_BF16 ? 2 : 4), 0, 0};
        matmul(query + h * head_width, head_width, 1, head_width, &k, length, scratch, capacity, 0,
               0, L2S_NONE, 0);
        softmax(scratch, capacity, 1, length, scale, bias ? bias + h * bias_stride : 0, 0);
        for (size_t i = 0; i < head_width; i++) {
            double s = 0;
            for (size_t t = 0; t < length; t++) {
                size_t place = first + t * head_width + i;
                s += (double)scratch[t] * (format == L2S_BF16 ? bf16_at(values, place)
                                                              : ((const float *)values)[place]);
            }
            out[h * head_width + i] = (float)s;
        }
    }
}

static const l2s_kernels reference = {matmul, rms_norm, layer_norm, softmax, gated_gelu, attend};

const l2s_kernels *l2s_reference_kernels(void) { return &reference; }
