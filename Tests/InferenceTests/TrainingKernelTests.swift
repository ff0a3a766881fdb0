import CKernels
import Testing

@testable import Inference

/// The kernels of training at every level, against their naive twins.
@Suite struct TrainingKernelTests {
    private static let twin = l2s_reference_kernels().pointee

    private static func kernels(_ level: KernelLevel) throws -> l2s_kernels {
        try #require(l2s_kernels_for(level.code)).pointee
    }

    private func expectClose(
        _ found: [Float], _ expected: [Float], within tolerance: Float = 2e-5
    ) {
        let largest = expected.map(abs).max() ?? 0
        let worst = zip(found, expected).map { abs($0 - $1) }.max() ?? 0
        #expect(
            worst <= tolerance * max(1, largest) && found.allSatisfy(\.isFinite),
            "off by \(worst), seed \(KernelTests.seed)")
    }

    private static let levelsWithBFloat16 = KernelTests.levels.filter(\.roundsToBFloat16)

    @Test(arguments: levelsWithBFloat16)
    func productsOfBothForms(level: KernelLevel) throws {
        let kernels = try Self.kernels(level)
        var random = KernelTests.Random(15)
        for round in 0..<48 {
            // Sizes beyond one block of lines, of inner steps or of columns, in turn.
            let rows = round % 12 == 0 ? random.int(257...600) : random.int(1...90)
            let inner = round % 12 == 1 ? random.int(1_025...2_100) : random.int(1...200)
            let columns = round % 12 == 2 ? random.int(2_049...2_200) : random.int(1...100)
            let (left, right) = (round % 2 == 0, round % 4 < 2)
            let strides = (
                (left ? rows : inner) + random.int(0...3),
                (right ? inner : columns) + random.int(0...3)
            )
            let a = random.floats((left ? inner : rows) * strides.0)
            let b = random.floats((right ? columns : inner) * strides.1)
            let start = random.floats(rows * columns)
            let scratch = FloatBuffer(count: l2s_product_scratch_bytes(inner, columns) / 4)
            let results = [kernels, Self.twin].map { kernels in
                var c = start
                a.withUnsafeBufferPointer { a in
                    b.withUnsafeBufferPointer { b in
                        var x = l2s_operand(
                            values: a.baseAddress, stride: strides.0, transposed: left ? 1 : 0)
                        var y = l2s_operand(
                            values: b.baseAddress, stride: strides.1, transposed: right ? 1 : 0)
                        kernels.product_bf16(
                            &x, &y, rows, inner, columns, 0.3, Int32(round % 3 == 0 ? 1 : 0), &c,
                            columns, scratch.base)
                    }
                }
                return c
            }
            expectClose(
                results[0], results[1], within: 0.4 * Float.ulpOfOne * Float(inner) + 6e-6)
        }
    }

    @Test(arguments: KernelTests.levels)
    func norms(level: KernelLevel) throws {
        let kernels = try Self.kernels(level)
        var random = KernelTests.Random(11)
        for _ in 0..<60 {
            let rows = random.int(1...6)
            let width = random.int(2...300)
            let x = random.floats(rows * width, -3...3)
            let (dy, start) = (random.floats(rows * width), random.floats(rows * width))
            let (weight, sums) = (random.floats(width), random.floats(width))
            for hasBias in [false, true] {
                let results = [kernels, Self.twin].map { kernels in
                    var (dx, dWeight, dBias) = (start, sums, sums)
                    if hasBias {
                        kernels.layer_norm_backward(
                            x, weight, 1e-5, dy, rows, width, &dx, &dWeight, &dBias)
                    } else {
                        kernels.rms_norm_backward(
                            x, weight, 1e-6, dy, rows, width, &dx, &dWeight)
                    }
                    return dx + dWeight + dBias
                }
                // The narrowest rows may vary so little that rounding is magnified.
                expectClose(results[0], results[1], within: width < 8 ? 1e-2 : 1e-4)
            }
        }
    }

    @Test(arguments: KernelTests.levels)
    func softmaxAndGates(level: KernelLevel) throws {
        let kernels = try Self.kernels(level)
        var random = KernelTests.Random(12)
        for _ in 0..<60 {
            let rows = random.int(1...6)
            let width = random.int(1...150)
            let count = rows * width
            let p = random.floats(count, 0...1)
            let (x, up, dy) = (
                random.floats(count, -6...6), random.floats(count), random.floats(count)
            )
            let results = [kernels, Self.twin].map { kernels in
                var dp = dy
                kernels.softmax_backward(p, &dp, rows, width, 0.7)
                var (plain, gated) = (dy, dy)
                kernels.gelu(x, nil, count, &plain)
                kernels.gelu(x, up, count, &gated)
                var (dx, dGate, dUp) = (dy, dy, dy)
                kernels.gelu_backward(x, nil, dy, count, &dx, nil)
                kernels.gelu_backward(x, up, dy, count, &dGate, &dUp)
                var (swished, dSwish, dSwishUp) = (dy, dy, dy)
                kernels.swiglu(x, up, count, &swished)
                kernels.swiglu_backward(x, up, dy, count, &dSwish, &dSwishUp)
                return dp + plain + gated + dx + dGate + dUp + swished + dSwish + dSwishUp
            }
            expectClose(results[0], results[1])
        }
    }

    @Test(arguments: KernelTests.levels)
    func lossAndOptimizer(level: KernelLevel) throws {
        let kernels = try Self.kernels(level)
        var random = KernelTests.Random(13)
        for round in 0..<60 {
            let rows = random.int(1...5)
            let columns = random.int(1...400)
            let logits = random.floats(rows * columns, -12...12)
            let targets = (0..<rows).map { _ in Int32(random.int(0...columns - 1)) }
            let smoothing: Float = round % 2 == 0 ? 0 : 0.1
            let values = random.floats(columns)
            let squares = random.floats(columns, 0...1)
            let settings = l2s_adamw(
                rate: 0.01, beta1: 0.9, beta2: 0.98, epsilon: 1e-8, decay: 0.1,
                gradient_scale: 0.5, mean_correction: 0.271, square_correction: 0.058808)
            let results = [kernels, Self.twin].map { kernels in
                var gradients = logits
                var losses = [Float](repeating: 0, count: rows)
                kernels.cross_entropy(
                    &gradients, rows, columns, targets, smoothing, 0.25, &losses)
                var (value, mean, square) = (values, values, squares)
                kernels.adamw(&value, logits, &mean, &square, columns, settings)
                return gradients + losses + value + mean + square
            }
            expectClose(results[0], results[1])
        }
    }

    @Test(arguments: KernelTests.levels)
    func dropoutIsTheSameEverywhere(level: KernelLevel) throws {
        let kernels = try Self.kernels(level)
        var random = KernelTests.Random(14)
        let x = random.floats(10_000, 1...2)
        var (found, expected, part) = (x, x, [Float](repeating: 0, count: 77))
        kernels.dropout(x, x.count, 0x1234_5678_9ABC, 5, 0.9, &found)
        Self.twin.dropout(x, x.count, 0x1234_5678_9ABC, 5, 0.9, &expected)
        expectClose(found, expected)
        #expect(found.map { $0 == 0 } == expected.map { $0 == 0 })
        let share = Double(found.count { $0 == 0 }) / Double(x.count)
        #expect(abs(share - 0.1) < 0.015)
        // What is dropped depends on the place alone.
        kernels.dropout(Array(x[100..<177]), 77, 0x1234_5678_9ABC, 105, 0.9, &part)
        #expect(part == Array(found[100..<177]))
    }
}
