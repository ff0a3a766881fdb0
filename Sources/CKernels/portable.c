// Runs on every machine: whatever vectors the compiler's base target has.
#define LEVEL portable
#if defined(__aarch64__)
#define ROWS 6
#else
#define ROWS 3
#endif
#define VECTORS 1
#include "kernels.inc"
