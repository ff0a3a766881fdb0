#if defined(__x86_64__)
#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>
#pragma clang attribute push(                                           \
    __attribute__((target("avx512f,avx512dq,avx512bw,avx512vl,avx2,fma"))), \
    apply_to = function)
#define LEVEL avx512
#define ROWS 12
#define VECTORS 2
#define INT8_OFFSET 0

enum { GROUP = 12 };

static inline __attribute__((always_inline)) void int8_part(const int rows, const uint8_t *a,
                                                            const int8_t *b, size_t quads,
                                                            int32_t *sums) {
    __m512i acc[12][2];
    const __m512i ones = _mm512_set1_epi16(1);
    const __m512i zero = _mm512_setzero_si512();
#pragma clang loop unroll(full)
    for (int r = 0; r < rows; r++) acc[r][0] = acc[r][1] = _mm512_setzero_si512();
    for (size_t k = 0; k < quads; k++, a += GROUP * 4, b += 128) {
        __m512i b0 = _mm512_loadu_si512(b), b1 = _mm512_loadu_si512(b + 64);
#pragma clang loop unroll(full)
        for (int r = 0; r < rows; r++) {
            int32_t quad;
            __builtin_memcpy(&quad, a + r * 4, 4);
            __m512i x = _mm512_set1_epi32(quad);
            __m512i magnitude = _mm512_abs_epi8(x);
            // AVX-512 has no sign instruction: negate the weights where a is negative. Pairs stay
            // within int16: 2 · 127 · 127.
            __mmask64 negative = _mm512_movepi8_mask(x);
            __m512i p0 = _mm512_maddubs_epi16(magnitude, _mm512_mask_sub_epi8(b0, negative, zero, b0));
            __m512i p1 = _mm512_maddubs_epi16(magnitude, _mm512_mask_sub_epi8(b1, negative, zero, b1));
            acc[r][0] = _mm512_add_epi32(acc[r][0], _mm512_madd_epi16(p0, ones));
            acc[r][1] = _mm512_add_epi32(acc[r][1], _mm512_madd_epi16(p1, ones));
        }
    }
#pragma clang loop unroll(full)
    for (int r = 0; r < rows; r++) {
        _mm512_storeu_si512(sums + r * 32, acc[r][0]);
        _mm512_storeu_si512(sums + r * 32 + 16, acc[r][1]);
    }
}

static void int8_tile_avx512(int rows, const uint8_t *a, const int8_t *b, size_t quads,
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
