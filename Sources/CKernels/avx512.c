#if defined(__x86_64__)
#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>
#pragma clang attribute push(                                                    \
    __attribute__((target("avx512f,avx512dq,avx512bw,avx512vl,avx2,fma"))),      \
    apply_to = function)
#define LEVEL avx512
#define ROWS 12
#define VECTORS 2
#define INT8_OFFSET 0
#define INT8_TILE int8_tile_avx512

// x · b as |x| · (b negated where x is negative), because AVX-512 has no sign instruction. The sum of
// two such products fits into int16: it is at most 2 · 127 · 127.
static inline __attribute__((always_inline)) __m512i int8_dot(__m512i sums, __m512i x, __m512i b) {
    __m512i negated =
        _mm512_mask_sub_epi8(b, _mm512_movepi8_mask(x), _mm512_setzero_si512(), b);
    __m512i pairs = _mm512_maddubs_epi16(_mm512_abs_epi8(x), negated);
    return _mm512_add_epi32(sums, _mm512_madd_epi16(pairs, _mm512_set1_epi16(1)));
}

#include "int8_avx512.inc"
#include "kernels.inc"
#pragma clang attribute pop
#endif
