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

size_t l2s_argmax(const float *x, size_t count) {
    float best = x[0];
    for (size_t i = 1; i < count; i++) best = x[i] > best ? x[i] : best;
    for (size_t i = 0; i < count; i++)
        if (x[i] == best) return i;
    return 0;  // every value is NaN
}
