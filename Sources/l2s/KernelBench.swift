import ArgumentParser
import Benchmarks
import Inference

struct KernelBench: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "kernels",
        abstract: "Time matrix products on one core, beside OpenBLAS and the memory's floor.")

    @Option(help: "Runs to take the median of.")
    var repetitions = 5

    @Flag(help: "JSON Lines on standard output.")
    var json = false

    func run() async throws {
        try KernelLevel.checkChoice()
        let machine = Machine()
        if !json {
            let bandwidth = KernelBenchmark.memoryBandwidth(repetitions: repetitions)
            Console.print(machine.line)
            Console.print(
                "one core reads \(bandwidth.rounded(digits: 1)) GB/s from memory\n\n"
                    + "[inner → columns]   rows  format    GFLOP/s  OpenBLAS  ratio  GB/s of weights"
            )
        }
        var failure: (any Error)?
        KernelBenchmark.run(repetitions: max(1, repetitions)) { result in
            if json {
                do { try Console.printJSON(result) } catch { failure = error }
                return
            }
            let ratio = result.gigaOperations / result.openBLAS
            Console.print(
                "[\(result.inner) → \(result.columns)]".padded(to: 18)
                    + "\(result.rows)".padded(to: 6, .right) + "  "
                    + result.format.padded(to: 8)
                    + result.gigaOperations.rounded(digits: 1).padded(to: 9, .right)
                    + result.openBLAS.rounded(digits: 1).padded(to: 10, .right)
                    + ratio.rounded(digits: 2).padded(to: 7, .right)
                    + result.gigabytes.rounded(digits: 1).padded(to: 17, .right))
        }
        if let failure { throw failure }
    }
}
