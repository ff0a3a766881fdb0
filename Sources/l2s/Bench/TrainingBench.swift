import ArgumentParser
import Benchmarks
import Foundation
import Settings
import Training

struct TrainingBench: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "training",
        abstract: "Time steps of training an SLM on random tokens.",
        discussion: """
            The states of the LLM are computed once, as `l2s train` has them on the disk, or in \
            every step with --uncached. `make bench-training` does the same work with PyTorch.
            """, shouldDisplay: false)

    @Option(help: "An SLM folder with l2s.json.")
    var model: String

    @Option(help: "Pairs in a step.")
    var examples = 64

    @Option(help: "Tokens of each source.")
    var sourceLength = 48

    @Option(help: "Tokens of each target.")
    var targetLength = 32

    @Option(help: "Default: the machine's cores.")
    var threads: Int?

    @Option(help: "Steps to take the median of, after one to warm up.")
    var repetitions = 5

    @Flag(help: "Let the LLM read the sources in every step.")
    var uncached = false

    @Flag(help: "JSON on standard output.")
    var json = false

    func validate() throws {
        for (name, value) in [
            ("--examples", examples), ("--source-length", sourceLength),
            ("--target-length", targetLength), ("--threads", threads ?? 1),
            ("--repetitions", repetitions),
        ] where !(1...4_096).contains(value) {
            throw ValidationError("expected \(name) to be from 1 to 4096, got \(value)")
        }
    }

    private struct Report: Encodable {
        let machine: Machine
        let model: String
        let threads: Int
        let result: TrainingBenchmark.Result
        let peakMemoryMiB: Double
    }

    func run() async throws {
        OpenBLASKernels.chooseAnew()
        let machine = Machine()
        var settings = TrainingBenchmark.Settings()
        settings.examples = examples
        settings.sourceLength = sourceLength
        settings.targetLength = targetLength
        settings.threads = threads ?? Processors.available.usable
        settings.repetitions = repetitions
        let result = try TrainingBenchmark(
            slm: model, readsEachTime: uncached, settings: settings
        ).run()
        let report = Report(
            machine: machine, model: model, threads: settings.threads, result: result,
            peakMemoryMiB: Machine.peakMemory)
        if json {
            try Console.printJSON(report)
            return
        }
        Console.print(machine.line)
        Console.print(
            "\(result.tokensPerSecond.rounded(digits: 0)) tokens/s, "
                + "\(result.millisecondsPerStep.rounded(digits: 1)) ms per step, "
                + "peak memory \(report.peakMemoryMiB.rounded(digits: 0)) MiB")
    }
}
