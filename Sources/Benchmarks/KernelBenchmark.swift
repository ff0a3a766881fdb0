internal import CKernels
internal import COpenBLAS
internal import Foundation
package import Inference

/// Times matrix products in the shapes that T5 encodes and decodes with, on one core. They stand
/// beside the rate of OpenBLAS for the same product, and the rate at which a core reads memory.
package enum KernelBenchmark {
    package struct Result: Sendable, Codable {
        package let level: String
        package let format: String
        package let inner: Int
        package let columns: Int
        package let rows: Int
        /// 10⁹ multiplications and additions per second.
        package let gigaOperations: Double
        package let openBLAS: Double
        /// Gigabytes of weights per second.
        package let gigabytes: Double
        /// The share of one core's peak rate for the format.
        package let share: Double
    }

    /// [inner → columns] of t5-small and t5-base: attention, feed-forward both ways, head.
    static let shapes = [
        (512, 512), (512, 2_048), (2_048, 512), (768, 3_072), (512, 32_128), (2_048, 2_048),
    ]
    static let rowCounts = [1, 4, 8, 32, 256, 2_048]

    /// - Parameter report: called with each result as soon as it is there.
    /// - Parameter peaks: the peak rates of one core, in 10⁹ operations per second.
    package static func run(
        repetitions: Int, peaks: [WeightFormat: Double], report: (Result) -> Void
    ) {
        openblas_set_num_threads(1)
        for (inner, columns) in shapes {
            let weights = Weights(inner: inner, columns: columns)
            for rows in rowCounts where rows * columns <= 1 << 24 {
                let input = weights.input(rows: rows)
                var output = [Float](repeating: 0, count: rows * columns)
                var times: [WeightFormat: [Double]] = [:]
                var peer: [Double] = []
                // In turn, so that a slow moment of the machine affects all of them.
                for _ in 0..<repetitions {
                    peer.append(
                        seconds(rows, inner, columns) {
                            cblas_sgemm(
                                CblasRowMajor, CblasNoTrans, CblasTrans, Int32(rows),
                                Int32(columns), Int32(inner), 1, input, Int32(inner),
                                weights.plain, Int32(inner), 0, &output, Int32(columns))
                        })
                    for format in Weights.formats {
                        times[format.type, default: []].append(
                            seconds(rows, inner, columns) {
                                weights.multiply(input, rows: rows, format.code, into: &output)
                            })
                    }
                }
                let operations = 2 * Double(rows * inner * columns)
                for format in Weights.formats {
                    let time = median(times[format.type] ?? [])
                    let rate = operations / time / 1e9
                    report(
                        Result(
                            level: weights.level, format: format.type.rawValue, inner: inner,
                            columns: columns, rows: rows, gigaOperations: rate,
                            openBLAS: operations / median(peer) / 1e9,
                            gigabytes: Double(inner * columns) * format.bytes / time / 1e9,
                            share: rate / (peaks[format.type] ?? .nan)))
                }
            }
        }
    }

    /// The time of one call, measured over enough calls to take some milliseconds.
    private static func seconds(
        _ rows: Int, _ inner: Int, _ columns: Int, _ body: () -> Void
    ) -> Double {
        let calls = 1 + 200_000_000 / (rows * inner * columns)
        let clock = ContinuousClock()
        let time = clock.measure { for _ in 0..<calls { body() } }
        return time / .seconds(1) / Double(calls)
    }

    /// The rate of OpenBLAS for a product of 2048³, in GFLOP/s. Encoding must be at least as fast.
    package static func openBLASPeak(threads: Int, repetitions: Int) -> Double {
        let size = 2_048
        openblas_set_num_threads(Int32(threads))
        defer { openblas_set_num_threads(1) }
        let a = [Float](repeating: 0.5, count: size * size)
        var c = a
        let edge = Int32(size)
        let clock = ContinuousClock()
        let times = (0..<repetitions + 1).map { _ in
            clock.measure {
                cblas_sgemm(
                    CblasRowMajor, CblasNoTrans, CblasTrans, edge, edge, edge, 1, a, edge, a,
                    edge, 0, &c, edge)
            } / .seconds(1)
        }
        return 2 * Double(size * size * size) / median(Array(times.dropFirst())) / 1e9
    }
}

/// One matrix in every format.
private final class Weights {
    static let formats: [(type: WeightFormat, code: l2s_format, bytes: Double)] = [
        (.float32, L2S_F32, 4), (.bfloat16, L2S_BF16, 2), (.int8, L2S_INT8, 1),
        (.int4, L2S_INT4, 0.625),
    ]

    let inner: Int
    let columns: Int
    let plain: [Float]
    let level: String
    private let kernels: l2s_kernels
    private let memory: [UnsafeMutableRawPointer]
    private let scratch: UnsafeMutableRawPointer

    init(inner: Int, columns: Int) {
        self.inner = inner
        self.columns = columns
        plain = Self.random(inner * columns)
        level = KernelLevel.chosen.rawValue
        guard let kernels = l2s_kernels_for(l2s_level(KernelLevel.chosen.number)) else {
            preconditionFailure("\(level) does not run here")
        }
        self.kernels = kernels.pointee
        let count = l2s_packed_count(inner, columns)
        // The panels of each format, then scales and sums, and scales and low ends of groups.
        memory = [
            count * 4, count * 2 + 4 * columns, count + 4 * columns, count / 2, columns * 4 + 128,
            columns * 4 + 128, count / 16, count / 16,
        ]
        .map { .allocate(byteCount: $0, alignment: 64) }
        let bytes =
            [L2S_BF16, L2S_INT8, L2S_INT4].map { l2s_scratch_bytes($0, .max, inner) }.max() ?? 0
        scratch = .allocate(byteCount: bytes, alignment: 64)
        l2s_pack_rows(plain, inner, columns, inner, memory[0].assumingMemoryBound(to: Float.self))
        l2s_pack_rows_bf16(
            plain, inner, columns, inner, memory[1].assumingMemoryBound(to: UInt16.self))
        l2s_pack_rows_int8(
            plain, inner, columns, inner, memory[2].assumingMemoryBound(to: Int8.self),
            memory[4].assumingMemoryBound(to: Float.self),
            memory[5].assumingMemoryBound(to: Float.self))
        l2s_pack_rows_int4(
            plain, inner, columns, inner, memory[3].assumingMemoryBound(to: UInt8.self),
            memory[6].assumingMemoryBound(to: UInt16.self),
            memory[7].assumingMemoryBound(to: UInt16.self))
    }

    deinit { (memory + [scratch]).forEach { $0.deallocate() } }

    func input(rows: Int) -> [Float] { Self.random(rows * inner) }

    func multiply(
        _ input: [Float], rows: Int, _ format: l2s_format, into output: inout [Float]
    ) {
        var matrix = l2s_matrix(
            format: format, panels: memory[Int(format.rawValue)],
            scales: memory[4].assumingMemoryBound(to: Float.self),
            sums: memory[5].assumingMemoryBound(to: Float.self),
            group_scales: memory[6].assumingMemoryBound(to: UInt16.self),
            group_lows: memory[7].assumingMemoryBound(to: UInt16.self))
        kernels.matmul(
            input, inner, rows, inner, &matrix, columns, &output, columns, 0, nil, L2S_NONE,
            scratch)
    }

    private static func random(_ count: Int) -> [Float] {
        (0..<count).map { Float(($0 &* 7_919) % 2_003) / 1_001 - 1 }
    }
}
