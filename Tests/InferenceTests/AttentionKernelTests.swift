import CKernels
import Foundation
import TestSupport
import Testing

@testable import Inference

/// Attention to a cache, by every instruction set that this machine runs, against the naive twins
/// in reference.c.
@Suite struct AttentionKernelTests {
    private typealias Random = KernelTests.Random
    private static let seed = KernelTests.seed
    private static let twin = KernelTests.twin
    /// The formats of caches. int4 is for weights only.
    private static let formats: [WeightFormat] = [.float32, .bfloat16, .int8]

    @Test(arguments: KernelTests.levels, formats)
    func attendToACache(level: KernelLevel, format: WeightFormat) throws {
        let kernels = try KernelTests.kernels(level)
        var random = Random(4)
        for round in 0..<28 {
            let heads = random.int(1...5)
            let headWidth = [4, 8, 24, 32, 64, 80, 128][round % 7]
            let group = [1, 3, 1, 2, 8][round % 5]
            let width = heads * group * headWidth
            let cached = heads * headWidth
            let cache = Self.stainedCache(
                layers: 1, heads: heads, headWidth: headWidth, positions: random.int(1...290),
                format: format)
            let length = random.int(1...cache.capacity)
            let keys = random.floats(length * cached)
            let values = random.floats(length * cached)
            cache.withKernelView(0) { kernels.remember($0, 0, length, keys, values, cached) }
            // What rows see: everything (T5), all positions before them (a causal model), a window
            // before them (a causal model with a window), or around them (an encoder with one).
            let reach: (before: Int, after: Int) = [
                (.max, .max), (.max, 0), (random.int(0...40), 0), (7, 7),
            ][round % 4]
            let cap: Float = round % 3 == 0 ? 1.5 : 0
            let rows = random.int(1...min(length, 14))
            let position = random.int(0...length - rows)
            let queries = random.floats(rows * width)
            let bias = random.floats(heads * group * length + rows)
            var scratch = FloatBuffer(count: 0)
            var found = [Float](repeating: 0, count: rows * width)
            var expected = found
            func attend(_ kernels: l2s_kernels, rows: Range<Int>, into output: inout [Float]) {
                cache.withKernelView(0) { view in
                    scratch = FloatBuffer(count: l2s_attend_scratch(rows.count, group, view))
                    bias.withUnsafeBufferPointer { bias in
                        var attention = l2s_attention(
                            length: length, position: position + rows.lowerBound,
                            before: reach.before, after: reach.after, group: group, scale: 0.5,
                            cap: cap,
                            bias: bias.baseAddress.map {
                                $0 + queries.count / width - rows.lowerBound
                            }, bias_stride: length, bias_step: -1)
                        kernels.attend(
                            Array(queries[rows.lowerBound * width..<rows.upperBound * width]),
                            width, rows.count, view, &attention, scratch.base, &output, width)
                    }
                }
            }
            attend(kernels, rows: 0..<rows, into: &found)
            attend(Self.twin, rows: 0..<rows, into: &expected)
            if format == .int8 {
                // Weights of attention are whole numbers up to 16,383, and may differ by one.
                #expect(zip(found, expected).allSatisfy { abs($0 - $1) < 2e-4 }, "\(Self.seed)")
            } else {
                KernelTests.expectClose(found, expected, terms: length)
            }
            // A row alone has the same bits as in company.
            let row = random.int(0...rows - 1)
            var alone = [Float](repeating: 0, count: width)
            attend(kernels, rows: row..<row + 1, into: &alone)
            #expect(alone == Array(found[row * width..<(row + 1) * width]))
        }
    }

    @Test(arguments: KernelTests.levels)
    func headsTurnByTheirPositions(level: KernelLevel) throws {
        let kernels = try KernelTests.kernels(level)
        var random = Random(8)
        for _ in 0..<40 {
            let (rows, heads, width) = (
                random.int(1...4), random.int(1...4), 2 * random.int(1...70)
            )
            let stride = heads * width + random.int(0...5)
            let x = random.floats(rows * stride, -6...6)
            let angles = random.floats(rows * width)
            var found = x
            var expected = x
            kernels.rotate(&found, stride, rows, heads, width, angles)
            Self.twin.rotate(&expected, stride, rows, heads, width, angles)
            KernelTests.expectClose(found, expected, terms: 2)
        }
    }

    /// A copy equals what it was made from, and takes further positions.
    @Test(arguments: KernelTests.levels, formats)
    func cachesAreCopiedIntoLargerOnes(level: KernelLevel, format: WeightFormat) throws {
        let kernels = try KernelTests.kernels(level)
        var random = Random(9)
        for _ in 0..<10 {
            let (heads, headWidth) = (random.int(1...4), random.int(1...70))
            let width = heads * headWidth
            let (copied, length) = (random.int(1...90), 110)
            let keys = random.floats(length * width)
            let values = random.floats(length * width)
            func cache(_ positions: Int) -> KeyValueCache {
                Self.stainedCache(
                    layers: 1, heads: heads, headWidth: headWidth, positions: positions,
                    format: format)
            }
            func remember(_ cache: KeyValueCache, _ positions: Range<Int>) {
                let own = positions.lowerBound * width..<positions.upperBound * width
                cache.withKernelView(0) {
                    kernels.remember(
                        $0, positions.lowerBound, positions.count, Array(keys[own]),
                        Array(values[own]), width)
                }
            }
            let (small, large, whole) = (cache(copied), cache(length), cache(length))
            remember(small, 0..<copied)
            large.copy(copied, layer: 0, from: small, layer: 0)
            remember(large, copied..<length)
            remember(whole, 0..<length)
            let queries = random.floats(width)
            let found = [large, whole].map { cache in
                var output = [Float](repeating: 0, count: width)
                cache.withKernelView(0) { view in
                    let scratch = FloatBuffer(count: l2s_attend_scratch(1, 1, view))
                    var attention = l2s_attention(
                        length: length, position: 0, before: .max, after: .max, group: 1,
                        scale: 1, cap: 0, bias: nil, bias_stride: 0, bias_step: 0)
                    kernels.attend(
                        queries, width, 1, view, &attention, scratch.base, &output, width)
                }
                return output
            }
            #expect(found[0] == found[1], "seed \(Self.seed)")
        }
    }

    /// A cache whose memory an earlier document left full of NaN.
    private static func stainedCache(
        layers: Int, heads: Int, headWidth: Int, positions: Int, format: WeightFormat
    ) -> KeyValueCache {
        let memory = CacheMemory()
        func cache() -> KeyValueCache {
            KeyValueCache(
                layers: layers, heads: heads, headWidth: headWidth, positions: positions,
                format: format, memory: memory)
        }
        let old = cache()
        for layer in 0..<layers {
            old.withKernelView(layer) { view in
                memset(view.pointee.keys, 0xFF, l2s_cache_key_bytes(view))
                memset(view.pointee.values, 0xFF, l2s_cache_value_bytes(view))
                memset(view.pointee.key_scales, 0xFF, l2s_cache_scale_bytes(view))
            }
        }
        return cache()
    }

    /// Attention reads from a cache what was written to it, to the precision of the cache's format.
    @Test(arguments: KernelTests.levels, formats)
    func rememberKeepsKeysAndValues(level: KernelLevel, format: WeightFormat) throws {
        let kernels = try KernelTests.kernels(level)
        var random = Random(6)
        for _ in 0..<6 {
            let (heads, headWidth) = (random.int(1...4), random.int(1...70))
            let width = heads * headWidth
            let cache = Self.stainedCache(
                layers: 2, heads: heads, headWidth: headWidth, positions: 70, format: format)
            let keys = random.floats(70 * width)
            let values = random.floats(70 * width)
            // Runs have any length and begin anywhere, because int8 keeps four positions together.
            cache.withKernelView(1) { view in
                var position = 0
                while position < 70 {
                    let run = min(random.int(1...9), 70 - position)
                    let place = position * width..<(position + run) * width
                    kernels.remember(
                        view, position, run, Array(keys[place]), Array(values[place]), width)
                    position += run
                }
            }
            let queries = random.floats(width, -3...3)
            var found = [Float](repeating: 0, count: width)
            cache.withKernelView(1) { view in
                let scratch = FloatBuffer(count: l2s_attend_scratch(1, 1, view))
                var attention = l2s_attention(
                    length: 70, position: 0, before: .max, after: .max, group: 1, scale: 1, cap: 0,
                    bias: nil, bias_stride: 0, bias_step: 0)
                Self.twin.attend(
                    queries, width, 1, view, &attention, scratch.base, &found, width)
            }
            var expected = [Float](repeating: 0, count: width)
            for head in 0..<heads {
                let own = head * headWidth..<(head + 1) * headWidth
                let scores = (0..<70).map { position in
                    own.reduce(0.0) { $0 + Double(queries[$1] * keys[position * width + $1]) }
                }
                let weights = scores.map { exp($0 - (scores.max() ?? 0)) }
                let total = weights.reduce(0, +)
                for column in own {
                    expected[column] = Float(
                        (0..<70).reduce(0.0) {
                            $0 + weights[$1] / total * Double(values[$1 * width + column])
                        })
                }
            }
            let step: Float = [.float32: 1e-5, .bfloat16: 0.02, .int8: 0.1][format] ?? 0
            let worst = zip(found, expected).map { abs($0 - $1) }.max() ?? 0
            #expect(worst <= step, "seed \(Self.seed)")
        }
    }
}
