internal import CKernels

/// Products of two matrices that change with each call. Training may use them in place of products
/// in float32.
///
/// Both operands are rounded to bfloat16, to the nearest, on the way in; sums and results are
/// float32.
package enum BFloat16Products {
    private static let product = l2s_kernels_for(KernelLevel.chosen.code)?.pointee.product_bf16

    /// Whether the chosen kernels have such products.
    package static var areAvailable: Bool { product != nil }

    /// Whether the chosen kernels have such products and multiply faster than in float32. AMX is
    /// three to five times as fast. AVX512-BF16 is twice as fast on AMD's processors and half as
    /// fast on Intel's.
    package static var areFast: Bool {
        areAvailable && (KernelLevel.chosen == .amx || l2s_has_fast_bf16() != 0)
    }

    /// c (+)= scale · a · b, where a and b may each be transposed.
    ///
    /// - Parameters:
    ///   - a: [rows, inner], or [inner, rows] where it is transposed.
    ///   - b: [inner, columns], or [columns, inner] where it is transposed.
    ///   - c: [rows, columns]; it shares no memory with `a` and `b`.
    ///   - accumulate: whether the product is added to what `c` holds.
    ///   - workspace: lends up to 5 MB.
    /// - Precondition: `areAvailable`.
    package static func multiply(
        _ a: Rows, transposed aIsTransposed: Bool = false, _ b: Rows,
        transposed bIsTransposed: Bool = false, into c: Rows, scale: Float = 1,
        accumulate: Bool = false, workspace: Workspace
    ) {
        let (rows, inner) = aIsTransposed ? (a.width, a.count) : (a.count, a.width)
        let (other, columns) = bIsTransposed ? (b.width, b.count) : (b.count, b.width)
        precondition(
            rows == c.count && columns == c.width && inner == other,
            "[\(rows), \(inner)] · [\(other), \(columns)] into [\(c.count), \(c.width)]")
        guard let product else { preconditionFailure("\(KernelLevel.chosen) has no bfloat16") }
        workspace.scope {
            let scratch = workspace.rows(1, l2s_product_scratch_bytes(inner, columns) / 4)
            var left = l2s_operand(
                values: a.base, stride: a.stride, transposed: aIsTransposed ? 1 : 0)
            var right = l2s_operand(
                values: b.base, stride: b.stride, transposed: bIsTransposed ? 1 : 0)
            product(
                &left, &right, rows, inner, columns, scale, accumulate ? 1 : 0, c.base, c.stride,
                scratch.base)
        }
    }
}
