// Runs on every machine, with the vectors that the compiler's base target has.
#define LEVEL portable
#if defined(__aarch64__)
#define ROWS 6
#else
#define ROWS 3
#endif
#define VECTORS 1
#define INT8_OFFSET 0

#include <stddef.h>
#include <stdint.h>

enum { GROUP = 12 };

static void int8_tile_portable(int rows, const uint8_t *a, const int8_t *b, size_t quads,
                               int32_t *sums) {
    for (int r = 0; r < rows; r++)
        for (int j = 0; j < 32; j++) {
            int32_t s = 0;
            for (size_t k = 0; k < quads; k++)
                for (int i = 0; i < 4; i++)
                    s += (int8_t)a[(k * GROUP + (size_t)r) * 4 + (size_t)i] *
                         b[(k * 32 + (size_t)j) * 4 + (size_t)i];
            sums[r * 32 + j] = s;
        }
}

#define INT4_ROWS 1

static void int4_group(int rows, const uint8_t *a, const uint8_t *b, int32_t *sums) {
    (void)rows;
    for (int k = 0; k < 4; k++, a += 8)
        for (int j = 0; j < 32; j++, b += 4)
            for (int i = 0; i < 4; i++)
                sums[j] += (int8_t)a[i] * (b[i] & 15) + (int8_t)a[4 + i] * (b[i] >> 4);
}

#include "kernels.inc"
