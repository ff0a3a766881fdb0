internal import CKernels
internal import Foundation
package import Inference

/// What so many threads of this machine do at most, measured: figures are given as a share of it.
package struct MachineFloor: Sendable, Codable {
    /// 10⁹ multiplications and additions per second of one number type, on operands that lie in
    /// registers or in the first-level caches.
    package let gigaOperations: Double
    /// 10⁹ bytes per second that are read from memory.
    package let gigabytes: Double

    /// Measures all threads at once: cores share memory, and some share their arithmetic. Threads
    /// beyond the number of cores make nothing faster.
    package init(_ format: WeightFormat, threads: Int, repetitions: Int) {
        let threads = min(threads, ProcessInfo.processInfo.activeProcessorCount)
        gigaOperations = Self.gigaOperations(format, threads: threads, repetitions: repetitions)
        gigabytes = Self.gigabytes(threads: threads, repetitions: repetitions)
    }

    /// The least time in milliseconds of so many operations on so many bytes from memory: that of the
    /// slower of the two, for they overlap.
    package func milliseconds(operations: Double, bytes: Double) -> Double {
        max(operations / gigaOperations, bytes / gigabytes) / 1e6
    }

    /// - Precondition: the chosen level runs here, which `KernelLevel.checkChoice` tells.
    package static func gigaOperations(
        _ format: WeightFormat, threads: Int = 1, repetitions: Int
    ) -> Double {
        guard let kernels = l2s_kernels_for(l2s_level(KernelLevel.chosen.number))?.pointee else {
            preconditionFailure("\(KernelLevel.chosen) does not run here")
        }
        let (operations, rounds) =
            switch format {
            case .float32: (512, 1 << 20)
            case .bfloat16: (393_216, 2_048)
            case .int8, .int4: (786_432, 2_048)
            }
        let time = seconds(threads: threads, repetitions: repetitions) {
            switch format {
            case .float32: _ = kernels.multiply_add(rounds)
            case .bfloat16: _ = kernels.multiply_add_bf16(rounds)
            case .int8, .int4: _ = kernels.multiply_add_int8(rounds)
            }
        }
        return Double(operations) * Double(rounds) * Double(threads) / time / 1e9
    }

    /// Blocks far larger than the caches are read, one by each thread.
    package static func gigabytes(threads: Int = 1, repetitions: Int) -> Double {
        let block = [UInt8](repeating: 1, count: 256 << 20)
        // The C library's search reads as fast as the memory gives, in debug builds too.
        let time = seconds(threads: threads, repetitions: repetitions) {
            block.withUnsafeBytes { bytes in
                precondition(bytes.baseAddress.map { memchr($0, 2, bytes.count) == nil } ?? false)
            }
        }
        return Double(block.count * threads) / time / 1e9
    }

    /// The least time in which all threads have done `body`, of five runs or more. A median of few runs
    /// would also tell how long the system takes to wake the threads.
    private static func seconds(
        threads: Int, repetitions: Int, _ body: @Sendable () -> Void
    ) -> Double {
        let clock = ContinuousClock()
        let times = (0..<max(repetitions, 5)).map { _ in
            clock.measure {
                DispatchQueue.concurrentPerform(iterations: threads) { _ in body() }
            }
        }
        return (times.min() ?? .zero) / .seconds(1)
    }
}
