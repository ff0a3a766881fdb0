import ArgumentParser
import Foundation
import Settings
import Training

struct Train: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Train a small model on what a large one reads.",
        discussion: """
            Reads a recipe and writes the model folder that it names, which a worker serves. \
            The large model stays as it is: its states are computed once and kept on the disk.

            A training that was stopped or killed goes on from its last checkpoint when the same \
            command is given again, and ends with the same weights. Until it is done it lives in \
            a folder beside the output, named after it with .training, where curve.jsonl and \
            curve.svg show how it goes. Ctrl-C writes a checkpoint first.

            Exit code 2 when the recipe cannot be followed, or the loss is no number.
            """)

    @Argument(help: "A training recipe in YAML.")
    var recipe: String

    @OptionGroup var folders: FolderOptions

    @Flag(help: "What happens as JSON Lines on standard output, instead of words.")
    var json = false

    func run() async throws {
        let recipe = try TrainingRecipe(file: recipe)
        let models = try folders.installation.modelsFolder
        let interruption = Interruption()
        let json = json
        let summary = try await blocking {
            let progress = TrainingProgress(isJSON: json)
            return try TrainingRun(recipe, modelsFolder: models).run { event in
                progress.show(event)
                try interruption.check()
            }
        }
        Console.note(
            "\(summary.output): the weights of step \(summary.bestStep) of \(summary.steps), "
                + "validation loss \(summary.bestLoss.threeDigits), "
                + "\(timeInWords(summary.seconds)) of training")
    }
}

/// Shows a training: one line that changes on a terminal, a line per point elsewhere.
private struct TrainingProgress {
    let isJSON: Bool

    func show(_ event: TrainingEvent) {
        if case .point(let point, _) = event, isJSON {
            if let line = try? Console.json(point) { Console.print(line) }
            return
        }
        switch event {
        case .opened(let opening):
            Console.note(
                "\(opening.pairs) pairs, \(opening.validationPairs) for validation, "
                    + "\(opening.trained) weights to train")
            if opening.truncated + opening.leftOut > 0 {
                Console.note(
                    "\(opening.truncated) prompts cut to data.source_tokens, "
                        + "\(opening.leftOut) pairs left out by data.target_tokens")
            }
        case .states(let tokens, let all):
            line("the LLM's states: \(tokens * 100 / max(all, 1)) %", isLast: tokens == all)
        case .stepped: break
        case .resumed(let step):
            Console.note("going on after step \(step)")
        case .point(let point, let secondsLeft):
            line(
                "step \(point.step)  epoch \(point.epoch)  "
                    + "loss \((point.loss ?? .nan).threeDigits)  "
                    + "\((point.tokensPerSecond ?? 0).rounded(digits: 0)) tokens/s  "
                    + "\(timeInWords(secondsLeft)) left", isLast: false)
        case .validated(let step, let loss, let isBest):
            line(
                "step \(step)  validation loss \(loss.threeDigits)"
                    + (isBest ? ", the best so far" : ""), isLast: true)
        }
    }

    private func line(_ text: String, isLast: Bool) {
        guard Console.isTerminal, !isJSON else {
            Console.note(text)
            return
        }
        Console.show("\r\u{1B}[K" + text + (isLast ? "\n" : ""))
    }
}

/// Such as `1 h 12 min`, `3 min`, `45 s`.
private func timeInWords(_ seconds: Double) -> String {
    guard seconds.isFinite, seconds < 1e9 else { return "–" }
    let whole = Int(seconds.rounded())
    if whole < 60 { return "\(whole) s" }
    if whole < 3_600 { return "\(whole / 60) min" }
    return "\(whole / 3_600) h \(whole % 3_600 / 60) min"
}

extension Double {
    fileprivate var threeDigits: String { String(format: "%.3f", self) }
}
