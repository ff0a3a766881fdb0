import ArgumentParser
import Benchmarks
import Checkpoints
import Foundation
import Inference
import Jobs

struct ModesBench: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "modes",
        abstract: "Time a pair's modes in turn: llm, hybrid and, where the SLM reads too, slm.",
        discussion: """
            ceiling: the bytes that a step of llm reads for one document, as a multiple of those \
            that a step of hybrid reads.
            """, shouldDisplay: false)

    @OptionGroup var model: BenchModel
    @OptionGroup var load: BenchLoad

    private struct Row: Encodable {
        let mode: String
        /// The time of a step of `llm`, as a multiple of that of a step of this mode.
        let fasterSteps: Double
        let result: EngineBenchmark.Result
    }

    private struct Report: Encodable {
        let machine: Machine
        let model: String
        let dtype: String
        let threads: Int
        let sourceLength: Int
        let newTokens: Int
        let ceiling: Double
        let rows: [Row]
        let peakMemoryMiB: Double
    }

    func validate() throws {
        guard SLMManifest.exists(in: model.model) else {
            throw ValidationError("expected --model to be an SLM folder, which holds l2s.json")
        }
    }

    func run() async throws {
        let machine = Machine()
        var settings = model.settings
        load.apply(to: &settings)
        let manifest = try SLMManifest(folder: model.model)
        var pair = model
        (pair.model, pair.mode) = (manifest.llmPath, .llm)
        let llm = try pair.open(settings)
        (pair.model, pair.mode) = (model.model, .hybrid)
        let hybrid = try pair.open(settings)
        var modes = [(JobType.Mode.llm, llm), (.hybrid, hybrid)]
        if manifest.fusion == .add || manifest.fusion == .replace {
            pair.mode = .slm
            modes.append((.slm, try pair.open(settings)))
        }
        let ceiling = llm.stepCost.bytes / hybrid.stepCost.bytes

        var table = Columns(
            [("batch", .right), ("mode", .left)]
                + ["encode ms", "ms per step", "faster steps", "documents/s"].map { ($0, .right) })
        var rows: [Row] = []
        let progress = Progress("measuring", unit: "tokens")
        let all = load.sizes.reduce(0) { $0 + modes.count * llm.tokens(batchSize: $1) }
        var done = 0
        for size in load.sizes {
            let results = EngineBenchmark.run(modes.map(\.1), batchSize: size) {
                progress.update(done + $0, of: all)
            }
            done += modes.count * llm.tokens(batchSize: size)
            for ((mode, _), result) in zip(modes, results) {
                let faster = results[0].millisecondsPerStep / result.millisecondsPerStep
                rows.append(Row(mode: mode.rawValue, fasterSteps: faster, result: result))
                table.add([
                    "\(size)", mode.rawValue, result.encodeMilliseconds.rounded(digits: 1),
                    result.millisecondsPerStep.rounded(digits: 2),
                    faster.rounded(digits: 1) + " x", result.documentsPerSecond.rounded(digits: 2),
                ])
            }
        }
        progress.end()
        let report = Report(
            machine: machine, model: model.model, dtype: try model.numberType.rawValue,
            threads: settings.threads, sourceLength: settings.sourceLength,
            newTokens: settings.newTokens, ceiling: ceiling, rows: rows,
            peakMemoryMiB: Machine.peakMemory)
        try load.publish(report, machine: machine) {
            [
                "\(model.model) and its LLM, \(report.dtype), \(settings.threads) threads, "
                    + "\(settings.sourceLength) source tokens, \(settings.newTokens) new tokens, "
                    + "medians of \(model.repetitions) in turn; ceiling "
                    + "\(ceiling.rounded(digits: 1)) x\n"
            ] + table.lines + [
                "\npeak memory \(report.peakMemoryMiB.rounded(digits: 0)) MiB"
            ]
        }
    }
}
