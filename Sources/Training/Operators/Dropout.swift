internal import CKernels
internal import Inference

/// Dropout that chooses elements by the key, the place in the model and the element's number alone.
/// So the backward pass computes the choice again, and a resumed run drops the same elements.
package final class Dropout {
    private let rate: Float
    private let key: UInt64
    private var places: UInt64 = 0

    package static var none: Dropout { Dropout(rate: 0, key: 0) }

    /// - Parameters:
    ///   - rate: 0 ..< 1
    ///   - key: a hash of the seed, the step and the part of the batch.
    package init(rate: Float, key: UInt64) {
        precondition(rate >= 0 && rate < 1, "dropout of \(rate)")
        self.rate = rate
        self.key = key
    }

    var isActive: Bool { rate > 0 }

    /// The key of the next place in this pass. Layers must ask for theirs in their order.
    func place() -> UInt64 {
        guard isActive else { return 0 }
        places += 1
        return mixed(key &+ places &* 0x9E37_79B9_7F4A_7C15)
    }

    /// Drops elements and scales the others, forward and backward alike. `output` may be `input`.
    func apply(_ input: Rows, place: UInt64, first: Int = 0, into output: Rows) {
        precondition(input.elements == output.elements, "\(input.elements) → \(output.elements)")
        guard isActive else { return }
        Gradients.kernels.dropout(
            input.base, input.elements, place, UInt32(truncatingIfNeeded: first), 1 - rate,
            output.base)
    }

    func apply(to rows: Rows, place: UInt64) { apply(rows, place: place, into: rows) }
}

/// The finaliser of SplitMix64.
func mixed(_ value: UInt64) -> UInt64 {
    var z = value
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
}
