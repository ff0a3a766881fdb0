internal import CKernels
internal import Foundation

/// An instruction set that kernels are written for.
package enum KernelLevel: String, Sendable, CaseIterable {
    case portable, avx2, avx512
    case avx512VNNI = "avx512-vnni"
    case avx512BF16 = "avx512-bf16"
    case amx
    case neonDotprod = "neon-dotprod"

    var code: l2s_level {
        switch self {
        case .portable: L2S_PORTABLE
        case .avx2: L2S_AVX2
        case .avx512: L2S_AVX512
        case .avx512VNNI: L2S_AVX512_VNNI
        case .avx512BF16: L2S_AVX512_BF16
        case .amx: L2S_AMX
        case .neonDotprod: L2S_NEON_DOTPROD
        }
    }

    /// The number by which CKernels knows the level.
    package var number: UInt32 { code.rawValue }

    /// Whether a product with bfloat16 weights rounds its other operand to bfloat16, too.
    package var roundsToBFloat16: Bool { self == .avx512BF16 || self == .amx }

    package var isAvailable: Bool { l2s_kernels_for(code) != nil }

    /// The best level of this machine. AVX512-BF16 is passed over where it is slower than float32.
    package static let best =
        allCases.last { $0.isAvailable && ($0 != .avx512BF16 || l2s_has_fast_bf16() != 0) }
        ?? .portable

    /// The environment variable that may name another level than the best.
    package static let variable = "L2S_KERNELS"

    /// The level that this process computes with.
    package static let chosen = (try? named(ProcessInfo.processInfo.environment[variable])) ?? best

    /// Is called before a model is opened.
    ///
    /// - Throws: `InferenceError` where the environment names a level that this machine cannot run.
    package static func checkChoice() throws {
        _ = try named(ProcessInfo.processInfo.environment[variable])
    }

    static func named(_ name: String?) throws -> KernelLevel {
        guard let name, !name.isEmpty else { return best }
        let available = allCases.filter(\.isAvailable)
        guard let level = available.first(where: { $0.rawValue == name }) else {
            throw InferenceError.kernelsUnavailable(
                found: name, available: available.map(\.rawValue))
        }
        return level
    }
}
