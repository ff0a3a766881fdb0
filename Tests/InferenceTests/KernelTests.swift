import CKernels
import Foundation
import TestSupport
import Testing

@testable import Inference

/// Every instruction set that this machine runs, against the naive twins in reference.c.
@Suite struct KernelTests {
    static let levels = KernelLevel.allCases.filter(\.isAvailable)
    static let seed = SeededRandom.newSeed()

    struct Random {
        var generator: SeededRandom

        init(_ salt: UInt64) { generator = SeededRandom(seed: KernelTests.seed &+ salt) }

        mutating func floats(_ count: Int, _ range: ClosedRange<Float> = -1...1) -> [Float] {
            let width = range.upperBound - range.lowerBound
            return (0..<count).map { _ in
                range.lowerBound + width * Float(generator.next() >> 40) / Float(1 << 24)
            }
        }

        mutating func int(_ range: ClosedRange<Int>) -> Int {
            Int.random(in: range, using: &generator)
        }
    }

    static func kernels(_ level: KernelLevel) throws -> l2s_kernels {
        try #require(l2s_kernels_for(level.code)).pointee
    }

    static let twin = l2s_reference_kernels().pointee

    /// Sums of `terms` products of magnitude ≤ 1 differ by rounding only. Partial sums grow with
    /// the square root of the number of terms, and the roundings of all partial sums together by
    /// the same factor again: their standard deviation is 0.07 · terms units. One of a million sums
    /// is 5 or 6 deviations away.
    static func expectClose(_ found: [Float], _ expected: [Float], terms: Int) {
        let tolerance = 0.4 * Float.ulpOfOne * Float(terms) + 6e-6
        let worst = zip(found, expected).map { abs($0 - $1) / max(1, abs($1)) }.max() ?? 0
        #expect(worst <= tolerance, "seed \(seed)")
    }

    private static let activations = [
        L2S_NONE, L2S_RELU, L2S_GELU, L2S_SILU, L2S_ERROR_GELU,
    ]

    @Test(arguments: levels, WeightFormat.allCases)
    func matmul(level: KernelLevel, format: WeightFormat) throws {
        let kernels = try Self.kernels(level)
        var random = Random(1)
        for round in 0..<40 {
            // Row numbers that need every combination of tiles, which have up to 12, 16 or 32 rows,
            // and row numbers that need several blocks.
            let rows = round < 36 ? round + 1 : random.int(37...600)
            let inner = random.int(1...700)
            let columns = round % 10 == 0 ? random.int(500...1_100) : random.int(1...150)
            let unrounded = random.floats(rows * inner)
            let rounds = format == .bfloat16 && level.roundsToBFloat16
            let a = rounds ? unrounded.map(\.roundedToBFloat16) : unrounded
            let bias = random.floats(columns)
            let start = random.floats(rows * columns)
            let weights = PackedMatrix(
                rows: FloatBuffer(random.floats(columns * inner)), columns: columns, inner: inner,
                format: format)
            let accumulate: Int32 = round % 2 == 0 ? 1 : 0
            let activation = Self.activations[round % Self.activations.count]
            let scratch = FloatBuffer(
                count: l2s_scratch_bytes(format.code, rows, inner) / 4)
            var found = start
            var expected = start
            weights.withKernelView {
                kernels.matmul(
                    a, inner, rows, inner, $0, columns, &found, columns, accumulate, bias,
                    activation, scratch.base)
                Self.twin.matmul(
                    a, inner, rows, inner, $0, columns, &expected, columns, accumulate, bias,
                    activation, nil)
            }
            Self.expectClose(found, expected, terms: inner)
            if rounds {
                var again = start
                weights.withKernelView {
                    kernels.matmul(
                        unrounded, inner, rows, inner, $0, columns, &again, columns, accumulate,
                        bias, activation, scratch.base)
                }
                #expect(again == found, "rounded before or by the kernel, seed \(Self.seed)")
            }
            // A row alone has the same bits as in company.
            let row = random.int(0...rows - 1)
            var alone = Array(start[row * columns..<(row + 1) * columns])
            weights.withKernelView {
                kernels.matmul(
                    Array(a[row * inner..<(row + 1) * inner]), inner, 1, inner, $0, columns,
                    &alone, columns, accumulate, bias, activation, scratch.base)
            }
            #expect(alone == Array(found[row * columns..<(row + 1) * columns]))
        }
    }

    /// Packed weights are the weights, to the precision of their format.
    @Test(arguments: WeightFormat.allCases)
    func packingKeepsTheWeights(format: WeightFormat) {
        var random = Random(5)
        for _ in 0..<20 {
            let inner = random.int(1...90)
            let columns = random.int(1...90)
            let rows = random.floats(columns * inner)
            let weights = PackedMatrix(
                rows: FloatBuffer(rows), columns: columns, inner: inner, format: format)
            // Of int4's, those opposite to the largest may be cut off.
            var step: Float =
                switch format {
                case .float32: 0
                case .bfloat16: 1 / 256
                case .int8: 1 / 253
                case .int4: 3 / 16
                }
            // Each weight has a part of the rounding of its whole block.
            if weights.hadamardBlock != nil { step *= 8 }
            for k in 0..<inner {
                var unit = [Float](repeating: 0, count: inner)
                unit[k] = 1
                if let block = weights.hadamardBlock {
                    Self.twin.hadamard(unit, inner, 1, inner, block, &unit)
                }
                var column = [Float](repeating: 0, count: columns)
                weights.withKernelView {
                    Self.twin.matmul(
                        unit, inner, 1, inner, $0, columns, &column, columns, 0, nil, L2S_NONE,
                        nil)
                }
                #expect(
                    column.indices.allSatisfy {
                        abs(column[$0] - rows[$0 * inner + k]) <= step * 1.001
                    }, "seed \(Self.seed)")
            }
        }
    }

    /// Results are equal to the bit at all levels, because packed files are read by machines that
    /// did not write them.
    @Test(arguments: levels)
    func hadamard(level: KernelLevel) throws {
        let kernels = try Self.kernels(level)
        var random = Random(6)
        for block in [16, 32, 64] {
            let (rows, width) = (random.int(1...5), block * random.int(1...9))
            let stride = width + random.int(0...7)
            let x = random.floats(rows * stride)
            var found = [Float](repeating: .nan, count: rows * width)
            var expected = found
            kernels.hadamard(x, stride, rows, width, block, &found)
            Self.twin.hadamard(x, stride, rows, width, block, &expected)
            #expect(found == expected, "seed \(Self.seed)")
            // The transform is its own inverse, except for a factor.
            kernels.hadamard(expected, width, rows, width, block, &found)
            let start = (0..<rows).flatMap { x[$0 * stride..<$0 * stride + width] }
            Self.expectClose(found.map { $0 / Float(block) }, Array(start), terms: block)
        }
    }

    /// A channel that is a hundred times larger than all others does not cost them their precision.
    @Test func aLargeChannelLeavesTheOthersTheirQuants() {
        var random = Random(7)
        let (rows, inner, columns) = (20, 192, 64)
        var x = random.floats(rows * inner)
        for row in 0..<rows { x[row * inner + 77] = 100 }
        let w = random.floats(columns * inner)
        func product(_ format: WeightFormat) -> [Float] {
            let input = FloatBuffer(x)
            let output = FloatBuffer(count: rows * columns)
            Operators.multiply(
                input.rows(width: inner),
                PackedMatrix(
                    rows: FloatBuffer(w), columns: columns, inner: inner, format: format),
                into: output.rows(width: columns), workspace: Workspace())
            return output.withFloats { Array($0) }
        }
        let exact = product(.float32)
        let errors = zip(product(.int8), exact).map { Double($0 - $1) }
        let rms = (errors.reduce(0) { $0 + $1 * $1 } / Double(errors.count)).squareRoot()
        // If the other 191 channels shared the scale of the large one, it would be 1.8.
        #expect(rms < 1, "\(rms), seed \(Self.seed)")
    }

    @Test func packingOfRowsAndColumnsAgrees() {
        var random = Random(2)
        for _ in 0..<20 {
            let inner = random.int(1...90)
            let columns = random.int(1...90)
            let w = random.floats(columns * inner)
            let transposed = (0..<inner).flatMap { k in (0..<columns).map { w[$0 * inner + k] } }
            var left = [Float](repeating: .nan, count: l2s_packed_count(inner, columns))
            var right = left
            l2s_pack_rows(w, inner, columns, inner, &left)
            l2s_pack_columns(transposed, columns, inner, columns, &right)
            #expect(left == right)
        }
    }

    @Test(arguments: levels)
    func normsSoftmaxAndGates(level: KernelLevel) throws {
        let kernels = try Self.kernels(level)
        var random = Random(3)
        for _ in 0..<60 {
            let rows = random.int(1...6)
            let width = random.int(1...300)
            let x = random.floats(rows * width, -6...6)
            let weight = random.floats(width)
            let bias = random.floats(width + rows, -3...3)
            var found = x
            var expected = x
            kernels.rms_norm(x, weight, 1e-6, rows, width, &found)
            Self.twin.rms_norm(x, weight, 1e-6, rows, width, &expected)
            Self.expectClose(found, expected, terms: width)
            kernels.layer_norm(x, weight, bias, 1e-5, rows, width, &found)
            Self.twin.layer_norm(x, weight, bias, 1e-5, rows, width, &expected)
            Self.expectClose(found, expected, terms: width)
            (found, expected) = (x, x)
            bias.withUnsafeBufferPointer { bias in
                let last = bias.baseAddress.map { $0 + rows - 1 }
                kernels.softmax(&found, width, rows, width, 0.7, last, -1)
                Self.twin.softmax(&expected, width, rows, width, 0.7, last, -1)
            }
            Self.expectClose(found, expected, terms: width)
            (found, expected) = (x, x)
            kernels.gated_gelu(&found, weight + weight, min(width, found.count))
            Self.twin.gated_gelu(&expected, weight + weight, min(width, expected.count))
            Self.expectClose(found, expected, terms: 1)
            (found, expected) = (x, x)
            kernels.gated_silu(&found, weight + weight, min(width, found.count))
            Self.twin.gated_silu(&expected, weight + weight, min(width, expected.count))
            Self.expectClose(found, expected, terms: 1)
            kernels.soft_cap(&found, width, 0.4, 2.5)
            Self.twin.soft_cap(&expected, width, 0.4, 2.5)
            Self.expectClose(found, expected, terms: 1)
        }
    }

    /// Memory of finished documents is used again, and no more of it is kept than was in use.
    @Test func cachesLeaveTheirMemory() {
        let memory = CacheMemory()
        let first = memory.take(100)
        let second = memory.take(60)
        memory.giveBack(second)
        memory.giveBack(first)
        #expect(memory.take(50) === first)
        #expect(memory.take(60) === second)
        memory.giveBack(first)
        memory.giveBack(second)
        // At most 160 floats were in use: beside 120 floats, neither the 100 nor the 60 may stay.
        let third = memory.take(120)
        #expect(memory.take(60) !== second && third !== first)
        memory.giveBack(third)
        #expect(memory.take(100) === third)
    }

    @Test func argmaxTakesTheFirstOfEquals() {
        #expect(Operators.argmax([1, 3, -.infinity, 3], count: 4) == 1)
        #expect(Operators.argmax([-.infinity, -.infinity], count: 2) == 0)
        #expect(Operators.argmax([.nan, .nan], count: 2) == 0)
    }

    @Test(arguments: levels)
    func highest(level: KernelLevel) throws {
        let kernels = try Self.kernels(level)
        var random = Random(7)
        for _ in 0..<60 {
            var x = random.floats(random.int(1...200))
            x[random.int(0...x.count - 1)] = .nan
            #expect(kernels.highest(x, x.count) == Self.twin.highest(x, x.count))
        }
    }

    @Test(arguments: levels)
    func logSumExp(level: KernelLevel) throws {
        let kernels = try Self.kernels(level)
        var random = Random(8)
        for count in [1, 15, 16, 17, 1_024, 1_025, 65_001] {
            for scale in [Float(0.1), 20, 90] {
                var x = random.floats(count).map { $0 * scale }
                if count > 1 { x[random.int(0...count - 1)] = -.infinity }
                let expected = Self.twin.log_sum_exp(x, count)
                #expect(
                    abs(kernels.log_sum_exp(x, count) - expected) <= 1e-6 * max(1, abs(expected)))
            }
        }
    }
}

extension Float {
    /// The nearest bfloat16; of two that are equally near, the even one.
    fileprivate var roundedToBFloat16: Float {
        Float(bitPattern: (bitPattern + 0x7FFF + (bitPattern >> 16 & 1)) & 0xFFFF_0000)
    }
}

extension FloatBuffer {
    convenience init(_ values: [Float]) {
        self.init(count: values.count)
        withFloats { _ = $0.update(from: values) }
    }
}
