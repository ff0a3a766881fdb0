// Arm processors from 2017 on. The float kernels are the portable ones, because NEON is in the compiler's
// base target.
#if defined(__aarch64__) && defined(__linux__)
#include <arm_neon.h>
#include <stddef.h>
#include <stdint.h>
#pragma clang attribute push(__attribute__((target("dotprod"))), apply_to = function)
#define LEVEL neon_dotprod
#define ROWS 6
#define VECTORS 1
#define INT8_OFFSET 0

enum { GROUP = 12 };

// Four rows by 16 columns at a time. Element r of register x is the cell of row r.
static inline __attribute__((always_inline)) void int8_part(const uint8_t *a, const int8_t *b,
                                                            size_t quads, int32_t *sums) {
    int32x4_t acc[4][4];
    for (int r = 0; r < 4; r++)
        for (int v = 0; v < 4; v++) acc[r][v] = vdupq_n_s32(0);
    for (size_t k = 0; k < quads; k++, a += GROUP * 4, b += 128) {
        int8x16_t x = vreinterpretq_s8_u8(vld1q_u8(a));
        for (int v = 0; v < 4; v++) {
            int8x16_t w = vld1q_s8(b + v * 16);
            acc[0][v] = vdotq_laneq_s32(acc[0][v], w, x, 0);
            acc[1][v] = vdotq_laneq_s32(acc[1][v], w, x, 1);
            acc[2][v] = vdotq_laneq_s32(acc[2][v], w, x, 2);
            acc[3][v] = vdotq_laneq_s32(acc[3][v], w, x, 3);
        }
    }
    for (int r = 0; r < 4; r++)
        for (int v = 0; v < 4; v++) vst1q_s32(sums + r * 32 + v * 4, acc[r][v]);
}

// Rows beyond `rows` are computed, too, from whatever the group holds; `sums` has room for them.
static void int8_tile_neon_dotprod(int rows, const uint8_t *a, const int8_t *b, size_t quads,
                                   int32_t *sums) {
    for (int half = 0; half < 2; half++)
        for (int r = 0; r < rows; r += 4)
            int8_part(a + r * 4, b + half * 64, quads, sums + r * 32 + half * 16);
}

#define INT4_ROWS 1

static inline __attribute__((always_inline)) void int4_group(const int rows, const uint8_t *a,
                                                             const uint8_t *b, int32_t *sums) {
    (void)rows;
    for (int k = 0; k < 4; k++, a += 8) {
        const int8x8_t x = vreinterpret_s8_u8(vld1_u8(a));
        for (int v = 0; v < 8; v++, b += 16) {
            const uint8x16_t both = vld1q_u8(b);
            const int8x16_t low = vreinterpretq_s8_u8(vandq_u8(both, vdupq_n_u8(15)));
            const int8x16_t high = vreinterpretq_s8_u8(vshrq_n_u8(both, 4));
            int32x4_t own = vld1q_s32(sums + v * 4);
            own = vdotq_lane_s32(own, low, x, 0);
            vst1q_s32(sums + v * 4, vdotq_lane_s32(own, high, x, 1));
        }
    }
}

#include "kernels.inc"
#pragma clang attribute pop
#endif
