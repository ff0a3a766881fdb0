internal import COpenBLAS
internal import Inference

/// What the operands of products are rounded to; sums and all else are float32.
package enum Precision: Sendable { case float32, bfloat16 }

/// Matrix products by OpenBLAS. Packing matrices ahead, as for inference, does not pay here: every
/// matrix changes with each step, and either operand may be transposed.
enum Products {
    enum Form {
        case plain, transposed

        fileprivate var code: CBLAS_TRANSPOSE { self == .plain ? CblasNoTrans : CblasTrans }
    }

    /// Threads each compute a part of the batch; a product must not start threads of its own.
    static func useOneThread() { openblas_set_num_threads(1) }

    /// c = scale · a · b, or c += scale · a · b with `accumulate`. Either operand may be
    /// transposed.
    static func multiply(
        _ a: Rows, _ aForm: Form = .plain, _ b: Rows, _ bForm: Form = .plain, into c: Rows,
        scale: Float = 1, accumulate: Bool = false, _ precision: Precision, _ workspace: Workspace
    ) {
        let (rows, inner) = aForm == .plain ? (a.count, a.width) : (a.width, a.count)
        let (other, columns) = bForm == .plain ? (b.count, b.width) : (b.width, b.count)
        precondition(
            rows == c.count && columns == c.width && inner == other,
            "[\(rows), \(inner)] · [\(other), \(columns)] into [\(c.count), \(c.width)]")
        guard rows > 0, columns > 0 else { return }
        if precision == .bfloat16, BFloat16Products.areFast {
            BFloat16Products.multiply(
                a, transposed: aForm == .transposed, b, transposed: bForm == .transposed, into: c,
                scale: scale, accumulate: accumulate, workspace: workspace)
            return
        }
        cblas_sgemm(
            CblasRowMajor, aForm.code, bForm.code, Int32(rows), Int32(columns), Int32(inner),
            scale, a.base, Int32(a.stride), b.base, Int32(b.stride), accumulate ? 1 : 0, c.base,
            Int32(c.stride))
    }

    /// Σ x²
    static func squares(_ x: FloatBuffer, _ range: Range<Int>) -> Double {
        let base = x.base + range.lowerBound
        return Double(cblas_sdot(Int32(range.count), base, 1, base, 1))
    }
}
