#include <math.h>
#include <string.h>

#include "CKernels.h"

size_t l2s_packed_count(size_t inner, size_t columns) {
    return (columns + L2S_PANEL - 1) / L2S_PANEL * L2S_PANEL * inner;
}

void l2s_pack_rows(const float *w, size_t ldw, size_t columns, size_t inner, float *packed) {
    for (size_t first = 0; first < columns; first += L2S_PANEL) {
        size_t width = columns - first < L2S_PANEL ? columns - first : L2S_PANEL;
        if (width < L2S_PANEL) memset(packed, 0, inner * L2S_PANEL * sizeof(float));
        // Sixteen inner steps at a time: whole cache lines are read and few are written.
        for (size_t k0 = 0; k0 < inner; k0 += 16) {
            size_t k1 = k0 + 16 < inner ? k0 + 16 : inner;
            for (size_t j = 0; j < width; j++)
                for (size_t k = k0; k < k1; k++)
                    packed[k * L2S_PANEL + j] = w[(first + j) * ldw + k];
        }
        packed += inner * L2S_PANEL;
    }
}

void l2s_pack_columns(const float *b, size_t ldb, size_t inner, size_t columns, float *packed) {
    for (size_t first = 0; first < columns; first += L2S_PANEL) {
        size_t width = columns - first < L2S_PANEL ? columns - first : L2S_PANEL;
        for (size_t k = 0; k < inner; k++) {
            float *row = packed + k * L2S_PANEL;
            memcpy(row, b + k * ldb + first, width * sizeof(float));
            memset(row + width, 0, (L2S_PANEL - width) * sizeof(float));
        }
        packed += inner * L2S_PANEL;
    }
}

static uint16_t bf16_of(float x) {
    uint32_t w;
    memcpy(&w, &x, sizeof w);
    if ((w & 0x7fffffff) > 0x7f800000) return (uint16_t)(w >> 16 | 0x40);  // NaN stays one
    return (uint16_t)((w + 0x7fff + (w >> 16 & 1)) >> 16);  // to the nearest, ties to even
}

void l2s_to_bf16(const float *x, size_t count, uint16_t *out) {
    for (size_t i = 0; i < count; i++) out[i] = bf16_of(x[i]);
}

void l2s_pack_rows_bf16(const float *w, size_t ldw, size_t columns, size_t inner,
                        uint16_t *packed) {
    for (size_t first = 0; first < columns; first += L2S_PANEL, packed += inner * L2S_PANEL)
        for (size_t j = 0; j < L2S_PANEL; j++)
            for (size_t k = 0; k < inner; k++)
                packed[k * L2S_PANEL + j] =
                    first + j < columns ? bf16_of(w[(first + j) * ldw + k]) : 0;
}

void l2s_pack_rows_int8(const float *w, size_t ldw, size_t columns, size_t inner, int8_t *packed,
                        float *scales, float *sums) {
    const size_t quads = (inner + 3) / 4;
    const size_t padded = (columns + L2S_PANEL - 1) / L2S_PANEL * L2S_PANEL;
    memset(packed, 0, padded * quads * 4);
    for (size_t j = 0; j < padded; j++) {
        scales[j] = 0;
        sums[j] = 0;
        if (j >= columns) continue;
        const float *row = w + j * ldw;
        float top = 0;
        for (size_t k = 0; k < inner; k++) top = fabsf(row[k]) > top ? fabsf(row[k]) : top;
        scales[j] = top / 127.0f;
        float inverse = top > 0 ? 127.0f / top : 0;
        int8_t *out = packed + j / L2S_PANEL * quads * L2S_PANEL * 4 + j % L2S_PANEL * 4;
        for (size_t k = 0; k < inner; k++) {
            int8_t q = (int8_t)rintf(row[k] * inverse);
            out[k / 4 * L2S_PANEL * 4 + k % 4] = q;
            sums[j] += q;
        }
    }
}

size_t l2s_int8_scratch_bytes(size_t inner) { return 96 * ((inner + 3) / 4 * 4); }

size_t l2s_argmax(const float *x, size_t count) {
    float best = x[0];
    for (size_t i = 1; i < count; i++) best = x[i] > best ? x[i] : best;
    for (size_t i = 0; i < count; i++)
        if (x[i] == best) return i;
    return 0;  // every value is NaN
}
