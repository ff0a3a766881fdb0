#if defined(__x86_64__)
#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>
#pragma clang attribute push(                                           \
    __attribute__((target("avx512f,avx512dq,avx512bw,avx512vl,avx512vnni,avx2,fma"))), \
    apply_to = function)
#define LEVEL avx512vnni
#define ROWS 12
#define VECTORS 2
#define INT8_OFFSET 128

enum { GROUP = 12 };

static inline __attribute__((always_inline)) void int8_part(const int rows, const uint8_t *a,
                                                            const int8_t *b, size_t quads,
                                                            int32_t *sums) {
    __m512i acc[12][2];
#pragma clang loop unroll(full)
    for (int r = 0; r < rows; r++) acc[r][0] = acc[r][1] = _mm512_setzero_si512();
    for (size_t k = 0; k < quads; k++, a += GROUP * 4, b += 128) {
        __m512i b0 = _mm512_loadu_si512(b), b1 = _mm512_loadu_si512(b + 64);
#pragma clang loop unroll(full)
        for (int r = 0; r < rows; r++) {
            int32_t quad;
            __builtin_memcpy(&quad, a + r * 4, 4);
            __m512i x = _mm512_set1_epi32(quad);
            acc[r][0] = _mm512_dpbusd_epi32(acc[r][0], x, b0);
            acc[r][1] = _mm512_dpbusd_epi32(acc[r][1], x, b1);
        }
    }
#pragma clang loop unroll(full)
    for (int r = 0; r < rows; r++) {
        _mm512_storeu_si512(sums + r * 32, acc[r][0]);
        _mm512_storeu_si512(sums + r * 32 + 16, acc[r][1]);
    }
}

static void int8_tile_avx512vnni(int rows, const uint8_t *a, const int8_t *b, size_t quads,
               int32_t *sums) {
#define PART(n)                            \
    case n:                                \
        int8_part(n, a, b, quads, sums);   \
        break;
    switch (rows) {
        PART(1) PART(2) PART(3) PART(4) PART(5) PART(6)
        PART(7) PART(8) PART(9) PART(10) PART(11) PART(12)
    }
#undef PART
}

#include "kernels.inc"
#pragma clang attribute pop
#endif
