#if defined(__x86_64__)
#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#define LEVEL avx2
#define ROWS 6
#define VECTORS 1
#define INT8_OFFSET 0

enum { GROUP = 12 };

// Up to three rows by 16 columns at a time. |a| · sign(b, a) equals a · b, and the sum of two such
// products fits into int16: it is at most 2 · 127 · 127.
static inline __attribute__((always_inline)) void int8_part(const int rows, const uint8_t *a,
                                                            const int8_t *b, size_t quads,
                                                            int32_t *sums) {
    __m256i acc[3][2];
    const __m256i ones = _mm256_set1_epi16(1);
    for (int r = 0; r < rows; r++) acc[r][0] = acc[r][1] = _mm256_setzero_si256();
    for (size_t k = 0; k < quads; k++, a += GROUP * 4, b += 128) {
        __m256i b0 = _mm256_loadu_si256((const __m256i *)b);
        __m256i b1 = _mm256_loadu_si256((const __m256i *)(b + 32));
        for (int r = 0; r < rows; r++) {
            int32_t quad;
            __builtin_memcpy(&quad, a + r * 4, 4);
            __m256i x = _mm256_set1_epi32(quad), magnitude = _mm256_abs_epi8(x);
            __m256i p0 = _mm256_maddubs_epi16(magnitude, _mm256_sign_epi8(b0, x));
            __m256i p1 = _mm256_maddubs_epi16(magnitude, _mm256_sign_epi8(b1, x));
            acc[r][0] = _mm256_add_epi32(acc[r][0], _mm256_madd_epi16(p0, ones));
            acc[r][1] = _mm256_add_epi32(acc[r][1], _mm256_madd_epi16(p1, ones));
        }
    }
    for (int r = 0; r < rows; r++) {
        _mm256_storeu_si256((__m256i *)(sums + r * 32), acc[r][0]);
        _mm256_storeu_si256((__m256i *)(sums + r * 32 + 8), acc[r][1]);
    }
}

static void int8_tile_avx2(int rows, const uint8_t *a, const int8_t *b, size_t quads,
                           int32_t *sums) {
    for (int half = 0; half < 2; half++)
        for (int r = 0; r < rows; r += 3) {
            const uint8_t *ar = a + r * 4;
            const int8_t *bh = b + half * 64;
            int32_t *out = sums + r * 32 + half * 16;
            switch (rows - r) {
                case 1: int8_part(1, ar, bh, quads, out); break;
                case 2: int8_part(2, ar, bh, quads, out); break;
                default: int8_part(3, ar, bh, quads, out);
            }
        }
}

#define INT4_ROWS 1

// Eight pairs of products stay within int16: 8 · 2 · 15 · 127.
static inline __attribute__((always_inline)) void int4_group(const int rows, const uint8_t *a,
                                                             const uint8_t *b, int32_t *sums) {
    (void)rows;
    const __m256i low = _mm256_set1_epi8(15);
    __m256i pairs[4] = {0};
#pragma clang loop unroll(full)
    for (int k = 0; k < 4; k++, a += 8) {
        int32_t quads[2];
        __builtin_memcpy(quads, a, 8);
        const __m256i x0 = _mm256_set1_epi32(quads[0]), x1 = _mm256_set1_epi32(quads[1]);
#pragma clang loop unroll(full)
        for (int v = 0; v < 4; v++, b += 32) {
            const __m256i both = _mm256_loadu_si256((const __m256i *)b);
            const __m256i halves[] = {_mm256_and_si256(both, low),
                                      _mm256_and_si256(_mm256_srli_epi16(both, 4), low)};
            pairs[v] = _mm256_add_epi16(pairs[v], _mm256_maddubs_epi16(halves[0], x0));
            pairs[v] = _mm256_add_epi16(pairs[v], _mm256_maddubs_epi16(halves[1], x1));
        }
    }
#pragma clang loop unroll(full)
    for (int v = 0; v < 4; v++) {
        __m256i *own = (__m256i *)sums + v;
        *own = _mm256_add_epi32(*own, _mm256_madd_epi16(pairs[v], _mm256_set1_epi16(1)));
    }
}

#include "kernels.inc"
#pragma clang attribute pop
#endif
