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
        subcommands: [EngineBench.self, KernelBench.self, GrowthBench.self])
}

/// What is measured, and how often.
struct BenchModel: ParsableArguments {
    @Option(help: "A Hugging Face T5 folder, or an SLM folder with l2s.json.")
    var model: String

    @Option(help: "llm, hybrid or slm. Default: hybrid for an SLM folder, else llm.")
    var mode: JobType.Mode?

    @Option(help: "float32, bfloat16 or int8.")
    var dtype = WeightFormat.float32

    @Option(help: "Default: the machine's cores.")
    var threads: Int?

    @Option(help: "Runs to take the median of, after one to warm up.")
    var repetitions = 5

    func validate() throws {
        for (name, value) in [("--threads", threads ?? 1), ("--repetitions", repetitions)]
        where !(1...1_024).contains(value) {
            throw ValidationError("expected \(name) to be from 1 to 1024, got \(value)")
        }
    }

    var chosenMode: JobType.Mode {
        mode ?? (SLMManifest.exists(in: model) ? .hybrid : .llm)
    }

    var settings: EngineBenchmark.Settings {
        let cores = ProcessInfo.processInfo.activeProcessorCount
        var settings = EngineBenchmark.Settings()
        settings.threads = threads ?? cores
        settings.repetitions = repetitions
        if settings.threads > cores {
            Console.note("warning: \(settings.threads) threads share \(cores) cores")
        }
        return settings
    }

    func open(_ settings: EngineBenchmark.Settings) throws -> EngineBenchmark {
        let folder = try ModelFolder(path: model)
        guard chosenMode == .hybrid else {
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

extension WeightFormat: ExpressibleByArgument {}
