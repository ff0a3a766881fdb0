#define _GNU_SOURCE
#include <sched.h>

#include "CKernels.h"

void l2s_pause(int yields) {
    if (yields) sched_yield();
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("isb");
#endif
}

#if defined(__linux__)
int l2s_pin_thread(size_t index) {
    cpu_set_t allowed, own;
    if (sched_getaffinity(0, sizeof allowed, &allowed)) return 0;
    index %= (size_t)CPU_COUNT(&allowed);
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (!CPU_ISSET(cpu, &allowed) || index-- > 0) continue;
        CPU_ZERO(&own);
        CPU_SET(cpu, &own);
        return sched_setaffinity(0, sizeof own, &own) == 0;
    }
    return 0;
}
#else
int l2s_pin_thread(size_t index) { return (void)index, 0; }
#endif
