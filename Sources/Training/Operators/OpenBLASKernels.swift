internal import COpenBLAS
internal import Glibc
internal import Inference

/// Which kernels OpenBLAS multiplies with.
package enum OpenBLASKernels {
    /// OpenBLAS chooses while it is loaded, and takes those of the year 2004 for a processor that is
    /// newer than itself: Debian 12's 0.3.21 makes 30 GFLOP/s on a core of Intel's Emerald Rapids,
    /// and 145 with those for AVX-512. Then the program starts over, with a better choice named.
    package static func chooseAnew() {
        guard String(cString: openblas_get_corename()) == "Prescott",
            let better = name(for: KernelLevel.best),
            // Somebody's own choice stands; and it is ours once we have started over.
            setenv("OPENBLAS_CORETYPE", better, 0) == 0,
            String(cString: getenv("OPENBLAS_CORETYPE")) == better
        else { return }
        execv("/proc/self/exe", CommandLine.unsafeArgv)
    }

    private static func name(for level: KernelLevel) -> String? {
        switch level {
        case .portable, .neonDotprod: nil
        case .avx2: "Haswell"
        case .avx512, .avx512VNNI, .avx512BF16, .amx: "SkylakeX"
        }
    }
}
