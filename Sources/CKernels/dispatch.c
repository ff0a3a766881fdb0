#define _GNU_SOURCE
#include "CKernels.h"
#if defined(__x86_64__) && defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif
#if defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
extern const l2s_kernels l2s_kernels_neon_dotprod;
enum { HAS_DOTPROD = 1 << 20 };  // HWCAP_ASIMDDP, which old headers lack
#endif

extern const l2s_kernels l2s_kernels_portable;
#if defined(__x86_64__)
extern const l2s_kernels l2s_kernels_avx2, l2s_kernels_avx512, l2s_kernels_avx512vnni,
    l2s_kernels_avx512bf16, l2s_kernels_amx;

// Linux lets a process use tiles only after the process has asked for it once. Its threads inherit the
// permission.
static int may_use_tiles(void) {
#if defined(__linux__)
    enum { REQUEST_STATE = 0x1023, TILE_DATA = 18 };  // ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA
    return syscall(SYS_arch_prctl, REQUEST_STATE, TILE_DATA) == 0;
#else
    return 0;
#endif
}
#endif

int l2s_has_fast_bf16(void) {
#if defined(__x86_64__)
    __builtin_cpu_init();
    return __builtin_cpu_is("amd") && __builtin_cpu_supports("avx512bf16");
#else
    return 0;
#endif
}

const l2s_kernels *l2s_kernels_for(l2s_level level) {
    if (level == L2S_PORTABLE) return &l2s_kernels_portable;
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (level == L2S_AVX2 && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        return &l2s_kernels_avx2;
    if ((level == L2S_AVX512 || level == L2S_AVX512_VNNI || level == L2S_AVX512_BF16 ||
         level == L2S_AMX) &&
        __builtin_cpu_supports("avx512f") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512vl")) {
        if (level == L2S_AVX512) return &l2s_kernels_avx512;
        if (level == L2S_AVX512_VNNI && __builtin_cpu_supports("avx512vnni"))
            return &l2s_kernels_avx512vnni;
        if (!__builtin_cpu_supports("avx512vnni") || !__builtin_cpu_supports("avx512bf16")) return 0;
        if (level == L2S_AVX512_BF16) return &l2s_kernels_avx512bf16;
        if (__builtin_cpu_supports("amx-tile") && __builtin_cpu_supports("amx-int8") &&
            __builtin_cpu_supports("amx-bf16") && may_use_tiles())
            return &l2s_kernels_amx;
    }
#endif
#if defined(__aarch64__) && defined(__linux__)
    if (level == L2S_NEON_DOTPROD && getauxval(AT_HWCAP) & HAS_DOTPROD)
        return &l2s_kernels_neon_dotprod;
#endif
    return 0;
}
