#include "CKernels.h"
#if defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
extern const l2s_kernels l2s_kernels_neon_dotprod;
enum { HAS_DOTPROD = 1 << 20 };  // HWCAP_ASIMDDP, which old headers lack
#endif

extern const l2s_kernels l2s_kernels_portable;
#if defined(__x86_64__)
extern const l2s_kernels l2s_kernels_avx2, l2s_kernels_avx512, l2s_kernels_avx512vnni;
#endif

const l2s_kernels *l2s_kernels_for(l2s_level level) {
    if (level == L2S_PORTABLE) return &l2s_kernels_portable;
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (level == L2S_AVX2 && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        return &l2s_kernels_avx2;
    if (level >= L2S_AVX512 && __builtin_cpu_supports("avx512f") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512vl")) {
        if (level == L2S_AVX512) return &l2s_kernels_avx512;
        if (level == L2S_AVX512_VNNI && __builtin_cpu_supports("avx512vnni"))
            return &l2s_kernels_avx512vnni;
    }
#endif
#if defined(__aarch64__) && defined(__linux__)
    if (level == L2S_NEON_DOTPROD && getauxval(AT_HWCAP) & HAS_DOTPROD)
        return &l2s_kernels_neon_dotprod;
#endif
    return 0;
}
