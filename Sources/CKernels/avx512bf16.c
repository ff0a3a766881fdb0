#if defined(__x86_64__)
#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>
#pragma clang attribute push(                                                                       \
    __attribute__((target("avx512f,avx512dq,avx512bw,avx512vl,avx512vnni,avx512bf16,avx2,fma"))),   \
    apply_to = function)
#define LEVEL avx512bf16
#define ROWS 12
#define VECTORS 2
#define INT8_OFFSET 128
#define INT8_TILE int8_tile_avx512bf16
#define BF16_PRODUCTS "bf16_avx512.inc"

// The instruction multiplies unsigned by signed bytes, so x carries an offset: see int8.inc.
static inline __attribute__((always_inline)) __m512i int8_dot(__m512i sums, __m512i x, __m512i b) {
    return _mm512_dpbusd_epi32(sums, x, b);
}

#include "int8_avx512.inc"
#include "kernels.inc"
#pragma clang attribute pop
#endif
