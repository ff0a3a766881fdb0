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

    /// By which CKernels knows it.
    package var number: UInt32 { code.rawValue }

    /// Whether what is multiplied with bfloat16 weights is rounded to bfloat16, too.
    package var roundsToBFloat16: Bool { self == .avx512BF16 || self == .amx }

    package var isAvailable: Bool { l2s_kernels_for(code) != nil }

    /// The best of this machine. AVX512-BF16 is not where it is the slower way to multiply.
    package static let best =
        allCases.last { $0.isAvailable && ($0 != .avx512BF16 || l2s_has_fast_bf16() != 0) }
        ?? .portable

    /// Names the level to compute with where it is not to be the best.
    package static let variable = "L2S_KERNELS"

    /// What this process computes with.
    package static let chosen = (try? named(ProcessInfo.processInfo.environment[variable])) ?? best

    /// - Throws: `InferenceError` where the environment asks for a level that cannot be had. Models
    ///   are not opened then.
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
