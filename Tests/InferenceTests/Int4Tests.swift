import CKernels
import Checkpoints
import TestSupport
import Testing

@testable import Inference

/// Weights of four bits, in groups of 32 with a scale each.
@Suite struct Int4Tests {
    private static let file = Fixtures.path("golden/gguf-llama/llama-q4_0.gguf")

    /// Also where queries, keys and values become one matrix.
    @Test func weightsOfQ4_0KeepTheirValues() throws {
        let folder = try ModelFolder(path: Self.file)
        guard case .rotary(let configuration) = folder.configuration else {
            Issue.record("expected a model with rotary positions")
            return
        }
        let record = LoadRecord()
        try RotaryWeights.loadAll(
            configuration, loader: WeightLoader(folder, format: .int4, record: record),
            isCut: false)
        var kept = 0
        for (name, matrix, _) in record.matrices {
            let tensors = try name.split(separator: "+").map {
                try folder.weights.tensor(String($0))
            }
            guard tensors.allSatisfy({ $0.format == .q4_0 }) else { continue }
            let expected = tensors.flatMap { tensor in
                let floats = FloatBuffer(count: tensor.count)
                floats.withFloats { tensor.read(into: $0) }
                return floats.withFloats { Array($0) }
            }
            let isKept = matrix.rows == expected
            #expect(isKept, "\(name)")
            #expect(matrix.lows == nil, "\(name)")
            kept += 1
        }
        #expect(kept >= 4 * configuration.layers.count)
        // Heads are the exception.
        #expect(
            record.matrices.map(\.matrix.format)
                == [WeightFormat](repeating: .int4, count: record.matrices.count - 1) + [.int8])
    }

    /// At every level, with low ends that follow from the scales.
    @Test(arguments: KernelTests.levels)
    func productsWithoutLowEnds(level: KernelLevel) throws {
        let kernels = try KernelTests.kernels(level)
        var random = KernelTests.Random(94)
        for rows in 1...14 {
            let (inner, columns) = (random.int(1...200), random.int(1...100))
            let weights = PackedMatrix(
                rows: FloatBuffer((0..<columns * inner).map { _ in Float(random.int(-8...7)) / 8 }),
                columns: columns, inner: inner, format: .int4)
            #expect(weights.lows == nil)
            let x = random.floats(rows * inner)
            let scratch = FloatBuffer(count: l2s_scratch_bytes(L2S_INT4, rows, inner) / 4)
            var found = [Float](repeating: 0, count: rows * columns)
            var expected = found
            weights.withKernelView {
                kernels.matmul(
                    x, inner, rows, inner, $0, columns, &found, columns, 0, nil, L2S_NONE,
                    scratch.base)
                KernelTests.twin.matmul(
                    x, inner, rows, inner, $0, columns, &expected, columns, 0, nil, L2S_NONE, nil)
            }
            KernelTests.expectClose(found, expected, terms: inner)
        }
    }

    /// The largest multiple among −8 … 7 may be any, and scales may have both signs and any size.
    @Test(arguments: 1...8)
    func multiplesOfAFloat16KeepTheirValues(largest: Int) {
        expectKept(salt: 91) { random, count in
            let scale = Self.half(1...0x6FFF, &random) * (random.int(0...1) == 0 ? 1 : -1)
            let top = random.int(0...count - 1)
            return (0..<count).map {
                $0 == top
                    ? scale * Float(-largest)
                    : scale * Float(random.int(-largest...min(largest, 7)))
            }
        }
    }

    /// As Q4_1 has them, up to so many steps above the low end.
    @Test(arguments: [1, 2, 14, 15])
    func stepsAboveAFloat16KeepTheirValues(highest: Int) {
        expectKept(salt: 92) { random, count in
            let scale = Self.half(0x1000...0x3C00, &random)
            let low = scale * -8 + Self.half(0x1000...0x2000, &random)
            let rounded = Float(Float16(low))
            let (first, last) = (random.int(0...count - 1), random.int(0...count - 1))
            return (0..<count).map {
                let steps = $0 == first ? 0 : $0 == last ? highest : random.int(0...highest)
                return scale * Float(steps) + rounded
            }
        }
    }

    private static func half(_ bits: ClosedRange<Int>, _ random: inout KernelTests.Random) -> Float
    {
        Float(Float16(bitPattern: UInt16(random.int(bits))))
    }

    /// - Parameter group: makes so many weights.
    private func expectKept(
        salt: UInt64, group: (inout KernelTests.Random, Int) -> [Float]
    ) {
        var random = KernelTests.Random(salt)
        for _ in 0..<30 {
            let (inner, columns) = (random.int(1...100), random.int(1...40))
            let rows = (0..<columns).flatMap { _ in
                stride(from: 0, to: inner, by: 32).flatMap {
                    group(&random, min(32, inner - $0))
                }
            }
            let matrix = PackedMatrix(
                rows: FloatBuffer(rows), columns: columns, inner: inner, format: .int4)
            let isKept = matrix.rows == rows
            #expect(isKept, "[\(columns), \(inner)], seed \(KernelTests.seed)")
        }
    }

    /// Chosen columns, with low ends and without.
    @Test(arguments: [false, true])
    func gatheringKeepsTheColumns(hasLowEnds: Bool) {
        var random = KernelTests.Random(95)
        let (inner, columns) = (70, 80)
        let rows = random.floats(columns * inner).map { hasLowEnds ? $0 : ($0 * 7).rounded() }
        let matrix = PackedMatrix(
            rows: FloatBuffer(rows), columns: columns, inner: inner, format: .int4)
        #expect((matrix.lows != nil) == hasLowEnds)
        let chosen = [79, 3, 3] + Array(20...60)
        let expected = chosen.flatMap { matrix.rows[$0 * inner..<($0 + 1) * inner] }
        let isKept = matrix.gathering(chosen).rows == expected
        #expect(isKept, "seed \(KernelTests.seed)")
    }

    /// GGML's quantizer of Q4_1 takes the range of the weights (`quantize_row_q4_1_ref`).
    @Test func othersLoseLessThanInGGML() {
        var random = KernelTests.Random(93)
        let (inner, columns) = (32, 2_000)
        let rows = (0..<columns * inner).map { _ in random.floats(12).reduce(0, +) }
        let found = PackedMatrix(
            rows: FloatBuffer(rows), columns: columns, inner: inner, format: .int4
        ).rows
        func square(_ x: Float) -> Double { Double(x) * Double(x) }
        var (own, expected) = (0.0, 0.0)
        for first in stride(from: 0, to: rows.count, by: inner) {
            let group = rows[first..<first + inner]
            let (low, high) = (group.min() ?? 0, group.max() ?? 0)
            let scale = (high - low) / 15
            for index in group.indices {
                let steps = min(15, Int((rows[index] - low) / scale + 0.5))
                let stored = Float(Float16(scale)) * Float(steps) + Float(Float16(low))
                expected += square(rows[index] - stored)
                own += square(rows[index] - found[index])
            }
        }
        // 0.88 for normally distributed weights.
        #expect(own < 0.93 * expected, "\(own / expected), seed \(KernelTests.seed)")
    }

    /// Only states are rounded beside what float32 makes of the same file.
    @Test func statesAreCloseToThoseOfFloat32() throws {
        let prompts: [[Int32]] = [[1, 40, 7, 22, 9, 15, 33], [5, 6, 7]]
        let states = try [WeightFormat.float32, .int4].map { format in
            try Encoder(ModelFolder(path: Self.file), format: format)
                .encode(
                    prompts.map { ($0, [Projector.states(afterLayer: nil)]) },
                    workspace: Workspace()
                )
                .flatMap { $0.flatMap { $0.withFloats { Array($0) } } }
        }
        let square = states[0].reduce(0) { $0 + $1 * $1 }
        let error = zip(states[0], states[1]).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }
        #expect((error / square).squareRoot() < 0.03)
    }
}

extension PackedMatrix {
    /// Its weights, [columns, inner], as CKernels.h describes them.
    fileprivate var rows: [Float] {
        let groups = PackedMatrix.groups(inner)
        let cells = panels.start.assumingMemoryBound(to: UInt8.self)
        guard let scales = scales?.start.assumingMemoryBound(to: Float16.self) else { return [] }
        let lows = lows?.start.assumingMemoryBound(to: Float16.self)
        return (0..<columns).flatMap { column in
            (0..<inner).map { k in
                let (panel, place) = column.quotientAndRemainder(dividingBy: 32)
                let both = cells[((panel * groups * 4 + k / 8) * 32 + place) * 4 + k % 4]
                let half = k % 8 < 4 ? both & 15 : both >> 4
                let group = (panel * groups + k / 32) * 32 + place
                let scale = Float(scales[group])
                return scale * Float(half) + (lows.map { Float($0[group]) } ?? -8 * scale)
            }
        }
    }
}
