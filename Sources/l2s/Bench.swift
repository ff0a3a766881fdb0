import ArgumentParser
import Benchmarks
import Checkpoints
import Foundation
import Inference
import Jobs

struct Bench: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Measure the engine on this machine.",
        discussion: """
            Figures are medians; the machine is named on top. Quote ratios taken in one run, not \
            single figures: other work on the machine changes them all.
            """,
        subcommands: [EngineBench.self, KernelBench.self])
}

struct EngineBench: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "engine",
        abstract: "Time a model on random token ids, by batch size.",
        discussion: """
            A batch is dealt evenly to the threads. encode: until all documents are read; step: one \
            token for every document of the batch.
            """)

    @Option(help: "A Hugging Face T5 folder, or an SLM folder with l2s.json.")
    var model: String

    @Option(help: "llm, hybrid or slm. Default: hybrid for an SLM folder, else llm.")
    var mode: JobType.Mode?

    @Option(help: "Tokens of each document.")
    var sourceLength = 256

    @Option(help: "Tokens written for each document.")
    var newTokens = 64

    @Option(help: "Documents at a time, several with commas.")
    var batchSizes = "1,8,32"

    @Option(help: "float32, bfloat16 or int8.")
    var dtype = WeightFormat.float32

    @Option(help: "Default: the machine's cores.")
    var threads: Int?

    @Option(help: "Runs to take the median of, after one to warm up.")
    var repetitions = 5

    @Flag(help: "JSON on standard output.")
    var json = false

    func validate() throws {
        for (name, value) in [
            ("--source-length", sourceLength), ("--new-tokens", newTokens),
            ("--threads", threads ?? 1), ("--repetitions", repetitions),
        ] where !(1...4_096).contains(value) {
            throw ValidationError("expected \(name) to be from 1 to 4096, got \(value)")
        }
        guard sizes?.isEmpty == false else {
            throw ValidationError(
                "expected --batch-sizes to be numbers from 1 to 1024 with commas between, "
                    + "got \(batchSizes)")
        }
    }

    private var sizes: [Int]? {
        let parts = batchSizes.split(separator: ",").map { Int($0) }
        return parts.allSatisfy { $0.map((1...1_024).contains) ?? false }
            ? parts.compactMap(\.self) : nil
    }

    private struct Report: Encodable {
        let machine: Machine
        let model: String
        let mode: String
        let dtype: String
        let threads: Int
        let sourceLength: Int
        let newTokens: Int
        let results: [EngineBenchmark.Result]
        let peakMemoryMiB: Double
    }

    func run() async throws {
        let machine = Machine()
        let cores = ProcessInfo.processInfo.activeProcessorCount
        var settings = EngineBenchmark.Settings()
        settings.sourceLength = sourceLength
        settings.newTokens = newTokens
        settings.threads = threads ?? cores
        settings.repetitions = repetitions
        if settings.threads > cores {
            Console.note("warning: \(settings.threads) threads share \(cores) cores")
        }
        let chosen = mode ?? (SLMManifest.exists(in: model) ? .hybrid : .llm)
        let benchmark = try self.benchmark(mode: chosen, settings: settings)
        var table = Columns(
            ["batch", "encode ms", "ms per step", "total ms", "documents/s", "tokens/s"]
                .map { ($0, .right) })
        var results: [EngineBenchmark.Result] = []
        for size in sizes ?? [] {
            let result = benchmark.run(batchSize: size)
            results.append(result)
            table.add([
                "\(size)", result.encodeMilliseconds.rounded(digits: 1),
                result.millisecondsPerStep.rounded(digits: 2),
                result.totalMilliseconds.rounded(digits: 1),
                result.documentsPerSecond.rounded(digits: 2),
                result.newTokensPerSecond.rounded(digits: 0),
            ])
        }
        let report = Report(
            machine: machine, model: model, mode: chosen.rawValue, dtype: dtype.rawValue,
            threads: settings.threads, sourceLength: sourceLength, newTokens: newTokens,
            results: results, peakMemoryMiB: Machine.peakMemory)
        if json {
            try Console.printJSON(report)
            return
        }
        Console.print(machine.line)
        Console.print(
            "\(model), \(chosen.rawValue), \(dtype.rawValue), \(settings.threads) threads, "
                + "\(sourceLength) source tokens, \(newTokens) new tokens, "
                + "medians of \(repetitions)\n")
        Console.print(table.lines.joined(separator: "\n"))
        Console.print("\npeak memory \(report.peakMemoryMiB.rounded(digits: 0)) MiB")
    }

    private func benchmark(
        mode: JobType.Mode, settings: EngineBenchmark.Settings
    ) throws -> EngineBenchmark {
        let folder = try ModelFolder(path: model)
        guard mode == .hybrid else {
            return EngineBenchmark(
                reader: try Reader(folder, format: dtype), bridge: .identity,
                writer: try Writers.own(folder, format: dtype), settings: settings)
        }
        let manifest = try SLMManifest(folder: model)
        let reader = try Reader(ModelFolder(path: manifest.llmPath), format: dtype)
        return EngineBenchmark(
            reader: reader, bridge: try Bridge(manifest, slm: folder, reader: reader),
            writer: try Writers.slm(folder, manifest: manifest, format: dtype),
            settings: settings)
    }
}

struct KernelBench: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "kernels",
        abstract: "Time matrix products on one core, beside OpenBLAS and the memory's floor.")

    @Option(help: "Runs to take the median of.")
    var repetitions = 5

    @Flag(help: "JSON Lines on standard output.")
    var json = false

    func run() async throws {
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

extension WeightFormat: ExpressibleByArgument {}
