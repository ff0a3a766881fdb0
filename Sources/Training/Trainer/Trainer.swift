internal import Foundation
internal import Settings

/// Trains by a recipe until it is done: steps, validations, and checkpoints to resume from.
struct Trainer {
    private let recipe: TrainingRecipe
    private let engine: StepEngine
    private let store: ParameterStore
    private let examples: [IndexedExample]
    private let batches: ExampleBatches
    private let validation: [[IndexedExample]]
    private let folder: TrainingFolder
    private let curve: TrainingCurve
    private let schedule: LearningRate

    init(
        _ recipe: TrainingRecipe, engine: StepEngine, store: ParameterStore,
        train: [IndexedExample], validation: [IndexedExample], folder: TrainingFolder
    ) {
        self.recipe = recipe
        self.engine = engine
        self.store = store
        self.folder = folder
        examples = train
        batches = ExampleBatches(
            train.map(\.example), tokensPerBatch: recipe.batchTokens, seed: recipe.seed,
            shares: recipe.data.tasks.count > 1 ? recipe.data.tasks.map(\.share) : nil)
        self.validation = ExampleBatches(
            validation.map(\.example), tokensPerBatch: recipe.batchTokens, seed: 0
        ).batches(epoch: 0).map { $0.map { validation[$0] } }
        curve = TrainingCurve(path: folder.curve)
        schedule = LearningRate(recipe.optimizer)
    }

    /// Points of the curve between two validations.
    private static let pointsPerInterval = 10

    /// Trains from the last checkpoint, if there is one, to the end. Leaves the best weights in the
    /// store.
    ///
    /// - Parameter report: called with what happens. An error that it throws ends the run after a
    ///   checkpoint.
    /// - Throws: `TrainingError`, `CheckpointError`, what `report` throws.
    func run(_ report: (TrainingEvent) throws -> Void) throws -> TrainingPosition {
        var position = try folder.restore(store) ?? TrainingPosition()
        try curve.cut(after: position.step)
        var tally = Tally()
        let clock = RunClock(seconds: position.seconds)
        var order = batches.batches(epoch: position.epoch)
        try report(
            .started(step: position.step, fraction: self.fraction(position, of: order.count)))
        while !position.isDone {
            if position.batch >= order.count {
                position.epoch += 1
                position.batch = 0
                order = batches.batches(epoch: position.epoch)
            }
            let fraction = fraction(position, of: order.count)
            let taken = order[position.batch...].prefix(recipe.accumulation)
            position.step += 1
            let outcome = try step(position, Array(taken), fraction)
            position.batch += taken.count
            position.seconds = clock.seconds
            tally.add(outcome)
            position.isDone = self.fraction(position, of: order.count) >= 1
            let isValidated = position.step % recipe.validationInterval == 0 || position.isDone
            let interval = max(1, recipe.validationInterval / Self.pointsPerInterval)
            var events = [
                TrainingEvent.stepped(
                    TrainingEvent.Step(
                        number: position.step, loss: outcome.loss, tokens: outcome.tokens,
                        fraction: self.fraction(position, of: order.count)))
            ]
            if position.step % interval == 0 || isValidated {
                let point = tally.point(
                    position, rate: schedule.rate(step: position.step, fraction: fraction))
                try curve.append(point)
                events.append(.point(point))
            }
            do {
                try events.forEach(report)
            } catch {
                if isValidated { try validate(&position) { _ in } }
                try folder.save(store, position)
                throw error
            }
            if isValidated {
                try validate(&position, report)
                position.seconds = clock.seconds
                try folder.save(store, position)
                tally = Tally()
            }
        }
        try folder.restoreBest(store)
        return position
    }

    private func step(
        _ position: TrainingPosition, _ batches: [[Int]], _ fraction: Double
    ) throws -> StepEngine.Outcome {
        let outcome = engine.step(
            batches.map { $0.map { examples[$0] } }, step: position.step,
            rate: schedule.rate(step: position.step, fraction: fraction))
        guard outcome.loss.isFinite, outcome.gradientNorm.isFinite else {
            throw TrainingError.notFinite(
                step: position.step, epoch: position.epoch, batch: position.batch,
                loss: outcome.loss, gradientNorm: outcome.gradientNorm, folder: folder.path)
        }
        return outcome
    }

    private func validate(
        _ position: inout TrainingPosition, _ report: (TrainingEvent) throws -> Void
    ) throws {
        let loss = engine.validationLoss(validation)
        guard loss.isFinite else {
            throw TrainingError.notFinite(
                step: position.step, epoch: position.epoch, batch: position.batch, loss: loss,
                gradientNorm: 0, folder: folder.path)
        }
        let isBetter = position.bestLoss.map { loss < $0 } ?? true
        if isBetter {
            (position.bestLoss, position.bestStep) = (loss, position.step)
            position.validationsWithoutBetter = 0
            try folder.saveBest(store)
        } else {
            position.validationsWithoutBetter += 1
            if let patience = recipe.patience, position.validationsWithoutBetter >= patience {
                position.isDone = true
            }
        }
        let point = CurvePoint(
            step: position.step, epoch: position.epoch, seconds: position.seconds,
            validationLoss: loss)
        try curve.append(point)
        try curve.plot(to: folder.plot)
        try report(.point(point))
        try report(.validated(step: position.step, loss: loss, isBest: isBetter))
    }

    /// How much of the training is done, by the limit that is nearest.
    private func fraction(_ position: TrainingPosition, of batches: Int) -> Double {
        var fractions: [Double] = []
        if let steps = recipe.length.steps {
            fractions.append(Double(position.step) / Double(steps))
        }
        if let epochs = recipe.length.epochs {
            let epoch = Double(position.epoch) + Double(position.batch) / Double(batches)
            fractions.append(epoch / Double(epochs))
        }
        if let time = recipe.length.time {
            fractions.append(position.seconds / (time / .seconds(1)))
        }
        return min(fractions.max() ?? 1, 1)
    }
}

/// What a training reports while it runs.
package enum TrainingEvent: Sendable {
    package struct Opening: Sendable {
        package let pairs: Int
        package let validationPairs: Int
        /// Pairs whose prompt was cut off, and pairs left out for their long target.
        package let truncated: Int
        package let leftOut: Int
        /// The number of weights that are trained.
        package let trained: Int
    }

    package struct Step: Sendable {
        /// Counted from 1.
        package let number: Int
        /// Mean over its response tokens.
        package let loss: Double
        /// Source and target tokens.
        package let tokens: Int
        /// How much of the training is done.
        package let fraction: Double
    }

    case opened(Opening)
    /// The LLM's states of so many tokens are computed, of so many in all.
    case states(tokens: Int, of: Int)
    /// The steps of earlier runs, and how much of the training they are.
    case started(step: Int, fraction: Double)
    case stepped(Step)
    /// A point as the curve's file has it.
    case point(CurvePoint)
    case validated(step: Int, loss: Double, isBest: Bool)
}

/// Why a training stopped.
package enum TrainingError: Error, Equatable, CustomStringConvertible {
    /// Steps count from 1, epochs and their batches from 0.
    case notFinite(
        step: Int, epoch: Int, batch: Int, loss: Double, gradientNorm: Double, folder: String)

    package var description: String {
        switch self {
        case .notFinite(let step, let epoch, let batch, let loss, let norm, let folder):
            "step \(step) (epoch \(epoch), batch \(batch)): expected a finite loss and gradient, "
                + "got a loss of \(loss) and a norm of \(norm); the last good checkpoint is in "
                + "\(folder): lower optimizer.learning_rate or optimizer.clipping, and begin anew"
        }
    }
}

/// The sums that a point of the curve is made of.
private struct Tally {
    private var loss = 0.0
    private var steps = 0
    private var tokens = 0
    private var norm = 0.0
    private let start = ContinuousClock.now

    mutating func add(_ outcome: StepEngine.Outcome) {
        loss += outcome.loss
        norm = outcome.gradientNorm
        steps += 1
        tokens += outcome.tokens
    }

    mutating func point(_ position: TrainingPosition, rate: Double) -> CurvePoint {
        let seconds = start.duration(to: .now) / .seconds(1)
        defer { self = Tally() }
        return CurvePoint(
            step: position.step, epoch: position.epoch, seconds: position.seconds,
            loss: loss / Double(max(steps, 1)), learningRate: rate, gradientNorm: norm,
            tokensPerSecond: Double(tokens) / seconds)
    }
}

/// Seconds of training, those of earlier runs included.
private struct RunClock {
    private let earlier: Double
    private let start = ContinuousClock.now

    init(seconds: Double) { earlier = seconds }

    var seconds: Double { earlier + start.duration(to: .now) / .seconds(1) }
}
