import ArgumentParser
import Benchmarks
import Checkpoints
import Foundation
import Inference
import Jobs
import Pipeline
import Settings

struct Bench: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Measure the engine and a worker on this machine.",
        discussion: """
            Figures are medians; the first line names the machine. Quote ratios of one run, not \
            single figures: other work on the machine changes all of them. The environment variable \
            \(KernelLevel.variable) names another instruction set than the best one; this machine has \
            \(KernelLevel.allCases.filter(\.isAvailable).map(\.rawValue).joined(separator: ", ")).

            The list leaves out what maintainers measure: modes, kernels, growth, training, queue and \
            pages. `l2s bench queue --help` and so on say more.
            """,
        subcommands: [
            EngineBench.self, ModesBench.self, KernelBench.self, GrowthBench.self,
            TrainingBench.self, QueueBench.self, WorkerBench.self, PagesBench.self,
        ])
}

/// What is measured, and how often.
struct BenchModel: ParsableArguments {
    @Option(help: "A Hugging Face T5 folder, or an SLM folder with l2s.json.")
    var model: String

    @Option(help: "An adapter (LoRA, as PEFT saves it) that is merged into the large model.")
    var adapter: String?

    @Option(help: "llm, hybrid or slm. Default: hybrid for an SLM folder, else llm.")
    var mode: JobType.Mode?

    @Option(help: "auto, float32, bfloat16, int8 or int4.")
    var dtype = JobType.NumberType.auto

    @Option(help: "Default: the machine's cores.")
    var threads: Int?

    @Option(help: "Runs to take the median of, after one to warm up.")
    var repetitions = 5

    @Flag(help: "Keep each thread on one core, as l2s-worker --pin on does.")
    var pin = false

    func validate() throws {
        guard mode != .speculative else {
            throw ValidationError(
                "expected --mode to be llm, hybrid or slm: the time of speculative decoding depends "
                    + "on the text, which is random here; use `l2s eval`")
        }
        for (name, value) in [("--threads", threads ?? 1), ("--repetitions", repetitions)]
        where !(1...1_024).contains(value) {
            throw ValidationError("expected \(name) to be from 1 to 1024, got \(value)")
        }
    }

    /// How the weights of the model that writes are held.
    var numberType: WeightFormat {
        get throws { try WeightFormat(dtype, of: ModelFolder(path: model)) }
    }

    var chosenMode: JobType.Mode {
        mode ?? (SLMManifest.exists(in: model) ? .hybrid : .llm)
    }

    var settings: EngineBenchmark.Settings {
        var settings = EngineBenchmark.Settings()
        settings.threads = threadCount(threads)
        settings.repetitions = repetitions
        settings.pinsThreads = pin
        return settings
    }

    func open(_ settings: EngineBenchmark.Settings) throws -> EngineBenchmark {
        let pool = WeightPool()
        guard chosenMode == .hybrid else {
            let folder = try ModelFolder(path: model, adapter: adapter)
            let format = try WeightFormat(dtype, of: folder)
            return EngineBenchmark(
                encoder: try Encoder(folder, format: format, pool: pool), projector: .identity,
                decoder: try Decoders.own(folder, format: format, pool: pool), settings: settings)
        }
        let folder = try ModelFolder(path: model)
        let manifest = try SLMManifest(folder: model)
        let llm = try ModelFolder(
            path: manifest.locatedLLM, adapter: adapter)
        let format = try WeightFormat(dtype, of: manifest.fusion == .layers ? llm : folder)
        let encoder = try Encoder(
            llm, format: WeightFormat(dtype, of: llm), depth: manifest.llmDepth, pool: pool)
        return EngineBenchmark(
            encoder: encoder, projector: try Projector(manifest, slm: folder, encoder: encoder),
            decoder: try Decoders.slm(
                folder, manifest: manifest, llm: llm, format: format, pool: pool),
            settings: settings)
    }
}

/// What the model is given to do, and where the figures go.
struct BenchLoad: ParsableArguments {
    @Option(help: "Tokens of each document.")
    var sourceLength = 256

    @Option(help: "Tokens written for each document.")
    var newTokens = 64

    @Option(help: "Documents at a time; several numbers separated by commas.")
    var batchSizes = "1,8,32"

    @OptionGroup var output: BenchOutput

    func validate() throws {
        for (name, value) in [
            ("--source-length", sourceLength), ("--new-tokens", newTokens),
        ] where !(1...4_096).contains(value) {
            throw ValidationError("expected \(name) to be from 1 to 4096, got \(value)")
        }
        guard !sizes.isEmpty else {
            throw ValidationError(
                "expected --batch-sizes to be numbers from 1 to 1024 with commas between, "
                    + "got \(batchSizes)")
        }
    }

    /// Empty if one of `batchSizes` is no number from 1 to 1024.
    var sizes: [Int] {
        let sizes = batchSizes.split(separator: ",").map { Int($0) }
        return sizes.allSatisfy { $0.map((1...1_024).contains) ?? false }
            ? sizes.compactMap(\.self) : []
    }

    func apply(to settings: inout EngineBenchmark.Settings) {
        settings.sourceLength = sourceLength
        settings.newTokens = newTokens
    }

    func publish(
        _ report: some Encodable, machine: Machine, lines: () -> [String]
    ) throws {
        try output.save(report)
        if output.json { return try Console.printJSON(report) }
        Console.print(machine.line)
        Console.print(lines().joined(separator: "\n"))
    }
}

struct BenchOutput: ParsableArguments {
    @Flag(help: "JSON on standard output instead of a table.")
    var json = false

    @Option(help: "Write the JSON to this file as well.")
    var save: String?

    func save(_ report: some Encodable) throws {
        guard let save else { return }
        let file = URL(fileURLWithPath: save)
        try FileManager.default.createDirectory(
            at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
        try Data((Console.json(report) + "\n").utf8).write(to: file, options: .atomic)
    }
}

/// `given`, or as many as cores. More threads than cores draw a warning.
func threadCount(_ given: Int?) -> Int {
    let cores = Processors.available.usable
    let threads = given ?? cores
    if threads > cores { Console.note("warning: \(threads) threads share \(cores) cores") }
    return threads
}

extension WeightFormat: ExpressibleByArgument {}
