import ArgumentParser
import Benchmarks
import Inference
import Training

struct KernelBench: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "kernels",
        abstract: "Time matrix products on one core, beside OpenBLAS and the machine's floors.",
        shouldDisplay: false)

    @Option(help: "Runs to take the median of.")
    var repetitions = 5

    @OptionGroup var output: BenchOutput

    private struct Report: Encodable {
        let machine: Machine
        /// Read from memory by one core.
        let gigabytes: Double
        /// The peak rates of one core by number type, in 10⁹ operations per second.
        let peaks: [String: Double]
        let products: [KernelBenchmark.Result]
    }

    func validate() throws {
        guard (1...1_024).contains(repetitions) else {
            throw ValidationError("expected --repetitions to be from 1 to 1024, got \(repetitions)")
        }
    }

    func run() async throws {
        OpenBLASKernels.chooseAnew()
        try KernelLevel.checkChoice()
        let machine = Machine()
        let bandwidth = MachineFloor.gigabytes(repetitions: repetitions)
        let peaks = Dictionary(
            uniqueKeysWithValues: WeightFormat.allCases.map {
                ($0, MachineFloor.gigaOperations($0, repetitions: repetitions))
            })
        if !output.json {
            Console.print(machine.line)
            Console.print(
                "one core reads \(bandwidth.rounded(digits: 1)) GB/s from memory and makes "
                    + WeightFormat.allCases.map {
                        "\((peaks[$0] ?? .nan).rounded(digits: 0)) GOP/s of \($0.rawValue)"
                    }.joined(separator: ", ") + "\n\n"
                    + "[inner → columns]   rows  format    GFLOP/s  share  OpenBLAS  ratio"
                    + "  GB/s of weights"
            )
        }
        var products: [KernelBenchmark.Result] = []
        KernelBenchmark.run(repetitions: repetitions, peaks: peaks) { result in
            products.append(result)
            if !output.json { Console.print(line(result)) }
        }
        let report = Report(
            machine: machine, gigabytes: bandwidth,
            peaks: Dictionary(uniqueKeysWithValues: peaks.map { ($0.key.rawValue, $0.value) }),
            products: products)
        try output.save(report)
        if output.json { try Console.printJSON(report) }
    }

    private func line(_ result: KernelBenchmark.Result) -> String {
        let ratio = result.gigaOperations / result.openBLAS
        return "[\(result.inner) → \(result.columns)]".padded(to: 18)
            + "\(result.rows)".padded(to: 6, .right) + "  " + result.format.padded(to: 8)
            + result.gigaOperations.rounded(digits: 1).padded(to: 9, .right)
            + "\((result.share * 100).rounded(digits: 0)) %".padded(to: 7, .right)
            + result.openBLAS.rounded(digits: 1).padded(to: 10, .right)
            + ratio.rounded(digits: 2).padded(to: 7, .right)
            + result.gigabytes.rounded(digits: 1).padded(to: 17, .right)
    }
}
