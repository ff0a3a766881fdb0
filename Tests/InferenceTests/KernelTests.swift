import CKernels
import TestSupport
import Testing

@testable import Inference

/// Every instruction set that this machine runs, against the naive twins in reference.c.
@Suite struct KernelTests {
    static let levels = KernelLevel.allCases.filter(\.isAvailable)
    static let seed = UInt64.random(in: 0 ... .max)

    struct Random {
        var generator: SeededGenerator

        init(_ salt: UInt64) { generator = SeededGenerator(seed: KernelTests.seed &+ salt) }

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

    private static func kernels(_ level: KernelLevel) throws -> l2s_kernels {
        try #require(l2s_kernels_for(level.code)).pointee
    }

    private static let twin = l2s_reference_kernels().pointee

    /// Sums of `terms` products of magnitude ≤ 1 differ by rounding only.
    private func expectClose(_ found: [Float], _ expected: [Float], terms: Int) {
        let tolerance = 4 * Float.ulpOfOne * Float(terms).squareRoot() + 4e-6
        let worst = zip(found, expected).map { abs($0 - $1) / max(1, abs($1)) }.max() ?? 0
        #expect(worst <= tolerance, "seed \(Self.seed)")
    }

    @Test(arguments: levels, WeightFormat.allCases)
    func matmul(level: KernelLevel, format: WeightFormat) throws {
        let kernels = try Self.kernels(level)
        var random = Random(1)
        for round in 0..<40 {
            let rows = random.int(1...40)
            let inner = random.int(1...700)
            let columns = round % 10 == 0 ? random.int(500...1_100) : random.int(1...150)
            let a = random.floats(rows * inner)
            let bias = random.floats(columns)
            let start = random.floats(rows * columns)
            let weights = PackedMatrix(
                rows: FloatBuffer(random.floats(columns * inner)), columns: columns, inner: inner,
                format: format)
            let accumulate: Int32 = round % 2 == 0 ? 1 : 0
            let activation = [L2S_NONE, L2S_RELU, L2S_GELU][round % 3]
            let scratch = FloatBuffer(count: l2s_int8_scratch_bytes(inner) / 4)
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
            expectClose(found, expected, terms: inner)
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
            let step: Float = [.float32: 0, .bfloat16: 1 / 256, .int8: 1 / 253][format] ?? 0
            for k in 0..<inner {
                var unit = [Float](repeating: 0, count: inner)
                unit[k] = 1
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
            expectClose(found, expected, terms: width)
            kernels.layer_norm(x, weight, bias, 1e-5, rows, width, &found)
            Self.twin.layer_norm(x, weight, bias, 1e-5, rows, width, &expected)
            expectClose(found, expected, terms: width)
            (found, expected) = (x, x)
            bias.withUnsafeBufferPointer { bias in
                let last = bias.baseAddress.map { $0 + rows - 1 }
                kernels.softmax(&found, width, rows, width, 0.7, last, -1)
                Self.twin.softmax(&expected, width, rows, width, 0.7, last, -1)
            }
            expectClose(found, expected, terms: width)
            (found, expected) = (x, x)
            kernels.gated_gelu(&found, weight + weight, min(width, found.count))
            Self.twin.gated_gelu(&expected, weight + weight, min(width, expected.count))
            expectClose(found, expected, terms: 1)
        }
    }

    @Test(arguments: levels, [WeightFormat.float32, .bfloat16])
    func attendToACache(level: KernelLevel, format: WeightFormat) throws {
        let kernels = try Self.kernels(level)
        var random = Random(4)
        for round in 0..<40 {
            let heads = random.int(1...5)
            let headWidth = [4, 8, 24, 32, 64, 80, 128][round % 7]
            let cache = KeyValueCache(
                layers: 1, heads: heads, headWidth: headWidth, positions: random.int(1...290),
                format: format)
            let length = random.int(1...cache.capacity)
            for position in 0..<length {
                cache.set(
                    position, layer: 0, key: random.floats(heads * headWidth),
                    value: random.floats(heads * headWidth))
            }
            let query = random.floats(heads * headWidth)
            let bias = random.floats(heads * length)
            var scratch = [Float](repeating: 0, count: cache.capacity)
            var found = [Float](repeating: 0, count: heads * headWidth)
            var expected = found
            kernels.attend(
                query, format.code, cache.keys(0), cache.values(0), heads, headWidth,
                cache.capacity, length, 0.5, bias, length, &scratch, &found)
            Self.twin.attend(
                query, format.code, cache.keys(0), cache.values(0), heads, headWidth,
                cache.capacity, length, 0.5, bias, length, &scratch, &expected)
            expectClose(found, expected, terms: length)
        }
    }

    @Test func argmaxTakesTheFirstOfEquals() {
        #expect(l2s_argmax([1, 3, -.infinity, 3], 4) == 1)
        #expect(l2s_argmax([-.infinity, -.infinity], 2) == 0)
    }
}

extension FloatBuffer {
    convenience init(_ values: [Float]) {
        self.init(count: values.count)
        withFloats { _ = $0.update(from: values) }
    }
}
