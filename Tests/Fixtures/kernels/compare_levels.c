// Runs the kernels of one level beside their naive twins on random numbers, for machines that only
// an emulator is at hand for: see ArmKernelTests. KernelTests do more on the machine they run on.
//
//     compare_levels LEVEL SEED
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "CKernels.h"

static uint64_t state;

static float number(void) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (float)((double)(state >> 33) / (1u << 30) - 1);
}
static float *numbers(size_t count) {
    float *x = aligned_alloc(64, (count * sizeof(float) + 127) / 64 * 64);
    for (size_t i = 0; i < count; i++) x[i] = number();
    return x;
}
static size_t between(size_t low, size_t high) {
    return low + (size_t)((number() + 1) / 2 * (float)(high - low));
}

static int failures = 0;

static void compare(const char *what, const float *found, const float *expected, size_t count,
                    double tolerance) {
    for (size_t i = 0; i < count; i++)
        if (!(fabs(found[i] - expected[i]) <= tolerance * fmax(1, fabs(expected[i])))) {
            printf("%s: expected %g at %zu of %zu, found %g\n", what, expected[i], i, count,
                   found[i]);
            failures++;
            return;
        }
}

// To bf16 and back, as levels with such instructions do.
static void round_to_bf16(float *x, size_t count) {
    uint16_t *packed = aligned_alloc(64, 2 * 2 * L2S_PANEL * sizeof(uint16_t));
    for (size_t i = 0; i < count; i++) {
        l2s_pack_rows_bf16(x + i, 1, 1, 1, packed);
        uint32_t bits = (uint32_t)packed[0] << 16;
        memcpy(x + i, &bits, sizeof bits);
    }
    free(packed);
}

static void matmul(const l2s_kernels *level, const l2s_kernels *twin, l2s_format format) {
    size_t rows = between(1, 70), inner = between(1, 300), columns = between(1, 150);
    size_t padded = (columns + L2S_PANEL - 1) / L2S_PANEL * L2S_PANEL;
    float *a = numbers(rows * inner), *w = numbers(columns * inner), *bias = numbers(columns);
    float *found = numbers(rows * columns), *expected = numbers(rows * columns);
    if (format == L2S_BF16) round_to_bf16(a, rows * inner);
    memcpy(expected, found, rows * columns * sizeof(float));
    float *panels = numbers(padded * (inner + 4)), *scales = numbers(padded), *sums = numbers(padded);
    if (format == L2S_F32) l2s_pack_rows(w, inner, columns, inner, panels);
    if (format == L2S_BF16) l2s_pack_rows_bf16(w, inner, columns, inner, (uint16_t *)panels);
    if (format == L2S_INT8)
        l2s_pack_rows_int8(w, inner, columns, inner, (int8_t *)panels, scales, sums);
    uint16_t *group_scales = (uint16_t *)numbers(padded * (inner + 31) / 32);
    uint16_t *group_lows = (uint16_t *)numbers(padded * (inner + 31) / 32);
    if (format == L2S_INT4)
        l2s_pack_rows_int4(w, inner, columns, inner, (uint8_t *)panels, group_scales,
                           group_lows);
    l2s_matrix b = {format, panels, scales, sums, group_scales, between(0, 2) ? group_lows : 0};
    float *scratch = numbers(l2s_scratch_bytes(format, rows, inner) / 4);
    level->matmul(a, inner, rows, inner, &b, columns, found, columns, 1, bias, L2S_GELU, scratch);
    twin->matmul(a, inner, rows, inner, &b, columns, expected, columns, 1, bias, L2S_GELU, 0);
    compare("matmul", found, expected, rows * columns, 3e-5);
    free(a), free(w), free(bias), free(found), free(expected);
    free(panels), free(scales), free(sums), free(group_scales), free(group_lows);
    free(scratch);
}

static void attend(const l2s_kernels *level, const l2s_kernels *twin, l2s_format format) {
    size_t heads = between(1, 4), width = between(1, 90), capacity = between(1, 8) * L2S_PANEL;
    size_t length = between(1, capacity), rows = between(1, length < 14 ? length : 14);
    size_t group = between(1, 3), cached = heads * width, stride = cached * group;
    l2s_cache cache = {format, heads, width, capacity, 0, 0, 0, 0};
    cache.keys = numbers(l2s_cache_key_bytes(&cache) / 4 + 1);
    cache.values = numbers(l2s_cache_value_bytes(&cache) / 4 + 1);
    cache.key_scales = numbers(heads * capacity);
    cache.value_scales = numbers(heads * capacity);
    float *keys = numbers(length * cached), *values = numbers(length * cached);
    float *queries = numbers(rows * stride), *bias = numbers(heads * group * capacity + rows);
    float *found = numbers(rows * stride), *expected = numbers(rows * stride);
    float *scratch = numbers(l2s_attend_scratch(rows, group, &cache));
    l2s_attention how = {length, between(0, length - rows), SIZE_MAX, SIZE_MAX, group, 0.5f, 0,
                         bias + rows, capacity, -1};
    if (between(0, 2)) how.after = 0, how.before = between(0, 40), how.cap = 1.5f;
    level->remember(&cache, 0, length, keys, values, cached);
    level->attend(queries, stride, rows, &cache, &how, scratch, found, stride);
    twin->attend(queries, stride, rows, &cache, &how, scratch, expected, stride);
    compare("attend", found, expected, rows * stride, format == L2S_INT8 ? 2e-4 : 3e-5);
    free(cache.keys), free(cache.values), free(cache.key_scales), free(cache.value_scales);
    free(keys), free(values), free(queries), free(bias), free(found), free(expected), free(scratch);
}

static void rows(const l2s_kernels *level, const l2s_kernels *twin) {
    size_t count = between(1, 5), width = between(1, 200);
    float *x = numbers(count * width), *weight = numbers(width), *bias = numbers(width + count);
    float *found = numbers(count * width), *expected = numbers(count * width);
#define BOTH(what, call)                                        \
    memcpy(found, x, count *width * sizeof(float));             \
    memcpy(expected, x, count *width * sizeof(float));          \
    { const l2s_kernels *k = level; float *out = found; call; } \
    { const l2s_kernels *k = twin; float *out = expected; call; } \
    compare(what, found, expected, count *width, 3e-5);
    BOTH("rms_norm", k->rms_norm(x, weight, 1e-6f, count, width, out))
    BOTH("layer_norm", k->layer_norm(x, weight, bias, 1e-5f, count, width, out))
    BOTH("softmax", k->softmax(out, width, count, width, 0.7f, bias + count - 1, -1))
    BOTH("gated_gelu", k->gated_gelu(out, weight, width))
    BOTH("highest", *out = k->highest(x, width))
    free(x), free(weight), free(bias), free(found), free(expected);
}

int main(int count, char **arguments) {
    if (count != 3) return 2;
    const l2s_kernels *level = l2s_kernels_for((l2s_level)atoi(arguments[1]));
    if (!level) {
        printf("level %s does not run here\n", arguments[1]);
        return 2;
    }
    state = strtoull(arguments[2], 0, 10);
    for (int round = 0; round < 20; round++) {
        for (int format = L2S_F32; format <= L2S_INT4; format++)
            matmul(level, l2s_reference_kernels(), (l2s_format)format);
        for (int format = L2S_F32; format <= L2S_INT8; format++)
            attend(level, l2s_reference_kernels(), (l2s_format)format);
        rows(level, l2s_reference_kernels());
    }
    if (!failures) printf("ok\n");
    return failures != 0;
}
