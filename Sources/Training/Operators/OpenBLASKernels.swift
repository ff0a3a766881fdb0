internal import COpenBLAS
internal import Glibc
internal import Inference

/// Which kernels OpenBLAS multiplies with.
package enum OpenBLASKernels {
    /// OpenBLAS chooses its kernels while it is loaded. For a processor that is newer than itself
    /// it takes those of the year 2004: Debian 12's 0.3.21 makes 30 GFLOP/s on a core of Intel's
    /// Emerald Rapids, and 145 with the kernels for AVX-512. In that case, this starts the program
    /// again, with a better choice in the environment.
    package static func chooseAnew() {
        guard String(cString: openblas_get_corename()) == "Prescott",
            let better = name(for: KernelLevel.best),
            // A choice that is already in the environment stays. Where it is that of an earlier
            // start, OpenBLAS has not followed it, and another start would not help.
            getenv("OPENBLAS_CORETYPE") == nil, setenv("OPENBLAS_CORETYPE", better, 0) == 0
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
