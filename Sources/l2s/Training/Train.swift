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

            Exit code 64 when the recipe or its pairs are wrong, 2 when the loss is not a number.
            """)

    @Argument(help: "A training recipe in YAML.")
    var recipe: String

    @OptionGroup var folders: FolderOptions

    @Flag(help: "Print the points of the curve as JSON Lines on standard output.")
    var json = false

    func run() async throws {
        OpenBLASKernels.chooseAnew()
        let recipe = try TrainingRecipe(file: recipe)
        let models = try folders.modelsFolder
        let interruption = Interruption()
        let json = json
        let summary = try await blocking {
            let progress = TrainingProgress(isJSON: json)
            defer { progress.end() }
            return try TrainingRun(recipe, modelsFolder: models).run { event in
                try progress.show(event)
                try interruption.check()
            }
        }
        Console.note(
            "\(summary.output): the weights of step \(summary.bestStep.grouped) of "
                + "\(summary.steps.grouped), "
                + "validation loss \(summary.bestLoss.threeDigits), "
                + "\(TimeText.words(seconds: summary.seconds)) of training")
    }
}

/// Says how a training goes: what it begins with, each validation, and between them its progress.
private final class TrainingProgress {
    private let isJSON: Bool
    private let progress = Progress("training", unit: "tokens", rate: "tokens/s")
    private var tokens = 0
    private var readsStates = false

    init(isJSON: Bool) { self.isJSON = isJSON }

    func show(_ event: TrainingEvent) throws {
        switch event {
        case .opened(let opening):
            Console.note(
                "\(opening.pairs.grouped) pairs, \(opening.validationPairs.grouped) for validation, "
                    + "\(opening.trained.grouped) weights to train")
            if opening.truncated + opening.leftOut > 0 {
                Console.note(
                    "\(opening.truncated.grouped) prompts cut to data.source_tokens, "
                        + "\(opening.leftOut.grouped) pairs left out by data.target_tokens")
            }
        case .states(let tokens, let all):
            if !readsStates {
                readsStates = true
                progress.begin("the LLM's states", at: tokens, of: all)
            }
            progress.update(tokens, of: all)
        case .started(let step, let fraction):
            progress.end()
            if step > 0 { Console.note("going on after step \(step.grouped)") }
            progress.begin("training", fraction: fraction)
        case .stepped(let step):
            tokens += step.tokens
            progress.update(
                tokens, fraction: step.fraction,
                remark: "step \(step.number.grouped), loss \(step.loss.threeDigits)")
        case .point(let point):
            if isJSON { try Console.printJSON(point) }
        case .validated(let step, let loss, let isBest):
            progress.end()
            Console.note(
                "step \(step.grouped): validation loss \(loss.threeDigits)"
                    + (isBest ? ", the best so far" : ""))
        }
    }

    func end() { progress.end() }
}

extension Double {
    fileprivate var threeDigits: String { String(format: "%.3f", self) }
}
