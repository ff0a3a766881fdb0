import ArgumentParser
import Benchmarks
import Checkpoints
import Foundation
import Inference
import Jobs
import Training

struct EngineBench: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "engine",
        abstract: "Time a model on random token ids, by batch size.",
        discussion: """
            A batch is divided evenly among the threads. encode is the time until all documents are \
            read; a step writes one token for every document of the batch. `of floor` is the least \
            time that this machine needs, as a share of the measured time. Reading needs that of its \
            arithmetic at the peak rate, a step that or the time of reading its weights, keys and values \
            from memory, whichever is longer. A step may exceed 100 % if its weights stay in the caches.
            """)

    @OptionGroup var model: BenchModel

    @OptionGroup var load: BenchLoad

    @Option(help: "Outputs followed for each document, of which the best is taken, 1 to 64.")
    var beams = 1

    func validate() throws {
        guard (1...64).contains(beams) else {
            throw ValidationError("expected --beams to be from 1 to 64, got \(beams)")
        }
    }

    private struct Report: Encodable {
        let machine: Machine
        let model: String
        let mode: String
        let dtype: String
        let threads: Int
        let sourceLength: Int
        let newTokens: Int
        let beams: Int
        /// The speed of OpenBLAS on a product of 2048³ with as many threads, in GFLOP/s.
        let openblasGigaOperations: Double
        let floor: MachineFloor
        let results: [EngineBenchmark.Result]
        let shares: [EngineBenchmark.Shares]
        let peakMemoryMiB: Double
    }

    func run() async throws {
        OpenBLASKernels.chooseAnew()
        let machine = Machine()
        var settings = model.settings
        load.apply(to: &settings)
        settings.beams = beams
        let benchmark = try model.open(settings)
        let peak = KernelBenchmark.openBLASPeak(
            threads: settings.threads, repetitions: model.repetitions)
        let dtype = try model.numberType
        let floor = MachineFloor(
            dtype, threads: settings.threads, repetitions: model.repetitions)
        var table = Columns(
            [
                "batch", "encode ms", "GOP/s", "of floor", "ms per step", "of floor", "total ms",
                "documents/s", "tokens/s",
            ].map { ($0, .right) })
        var results: [EngineBenchmark.Result] = []
        var shares: [EngineBenchmark.Shares] = []
        let sizes = load.sizes
        let all = sizes.reduce(0) { $0 + benchmark.tokens(batchSize: $1) }
        var done = 0
        let progress = Progress("measuring", unit: "tokens")
        for size in sizes {
            let result = benchmark.run(batchSize: size) { progress.update(done + $0, of: all) }
            done += benchmark.tokens(batchSize: size)
            let share = benchmark.shares(of: result, floor: floor)
            results.append(result)
            shares.append(share)
            table.add([
                "\(size)", result.encodeMilliseconds.rounded(digits: 1),
                result.encodeGigaOperations.rounded(digits: 0),
                "\((share.encode * 100).rounded(digits: 0)) %",
                result.millisecondsPerStep.rounded(digits: 2),
                "\((share.step * 100).rounded(digits: 0)) %",
                result.totalMilliseconds.rounded(digits: 1),
                result.documentsPerSecond.rounded(digits: 2),
                result.newTokensPerSecond.rounded(digits: 0),
            ])
        }
        progress.end()
        let report = Report(
            machine: machine, model: model.model, mode: model.chosenMode.rawValue,
            dtype: dtype.rawValue, threads: settings.threads,
            sourceLength: load.sourceLength, newTokens: load.newTokens, beams: beams,
            openblasGigaOperations: peak, floor: floor, results: results, shares: shares,
            peakMemoryMiB: Machine.peakMemory)
        try load.publish(report, machine: machine) {
            [
                "\(model.model), \(model.chosenMode.rawValue), \(report.dtype), "
                    + "\(settings.threads) threads, \(load.sourceLength) source tokens, "
                    + "\(load.newTokens) new tokens, \(beams) beams, medians of \(model.repetitions)",
                "OpenBLAS on 2048³: \(peak.rounded(digits: 0)) GFLOP/s; floor: "
                    + "\(floor.gigaOperations.rounded(digits: 0)) GOP/s of \(report.dtype), "
                    + "\(floor.gigabytes.rounded(digits: 1)) GB/s from memory\n",
            ] + table.lines + [
                "\npeak memory \(report.peakMemoryMiB.rounded(digits: 0)) MiB"
            ]
        }
    }
}
