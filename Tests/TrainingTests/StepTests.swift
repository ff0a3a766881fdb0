import Checkpoints
import Foundation
import Inference
import TestSupport
import Testing

@testable import Training

@Suite struct StepTests {
    private static let seed = SeededRandom.newSeed()

    /// For each tensor, the gradient's slope along a direction is that between the losses on both
    /// sides. The same elements are dropped out.
    @Test(arguments: [
        "hybrid-t5-cross", "hybrid-t5-add", "hybrid-gpt2-add", "t5-v1.1", "llama", "llama+adapter",
        "llama+layers", "llama+layers+reading",
    ])
    func gradientsAreFiniteDifferences(name: String) throws {
        let model = try GoldenTrainee(name)
        var random = SeededRandom(seed: Self.seed)
        let gradients = FloatBuffer(count: model.store.values.count)
        let unused = FloatBuffer(count: model.store.values.count)
        func dropout() -> Dropout { Dropout(rate: 0.1, key: 7) }
        _ = model.loss(gradients: gradients, dropout: dropout())
        for parameter in model.store.parameters {
            let gradient = gradients.withFloats { Array($0[parameter.range]) }
            let norm = gradient.reduce(0) { $0 + $1 * $1 }.squareRoot()
            // Along the gradient, the slope is its norm. A random part of the direction finds what
            // the gradient lacks.
            let direction = gradient.map { slope in
                slope / max(norm, 1e-12)
                    + Float.random(in: -1...1, using: &random) / Float(gradient.count).squareRoot()
            }
            let slope = zip(gradient, direction).reduce(0.0) { $0 + Double($1.0 * $1.1) }
            let start = model.store.values.withFloats { Array($0[parameter.range]) }
            func loss(at distance: Float) -> Double {
                model.store.values.withFloats { values in
                    for (offset, index) in parameter.range.enumerated() {
                        values[index] = start[offset] + distance * direction[offset]
                    }
                }
                return model.loss(gradients: unused, dropout: dropout())
            }
            // The step changes the loss by 2 %. With a smaller one, rounding would hide the slope,
            // with a larger one curvature.
            let step = Float(min(1e-2, 0.02 / max(abs(slope), 1e-6)))
            let difference = (loss(at: step) - loss(at: -step)) / Double(2 * step)
            _ = loss(at: 0)
            #expect(
                abs(difference - slope) <= 0.02 * abs(slope) + 1e-3,
                "\(parameter.name): \(difference) and \(slope), seed \(Self.seed)")
        }
    }

    @Test func tiesEveryThreadToTheSameBits() throws {
        let weights = try (0..<2).map { _ in
            let trainee = try GoldenTrainee("t5-v1.0")
            let engine = trainee.engine(threads: 2)
            for step in 1...3 {
                _ = engine.step([trainee.examples, trainee.examples], step: step, rate: 1e-3)
            }
            return trainee.store.values.withFloats(Array.init)
        }
        #expect(weights[0] == weights[1])
        #expect(weights[0].allSatisfy { $0.isFinite })
    }

    /// Losses are the same with one batch or with several whose gradients are added up, on one
    /// thread or three.
    @Test func partsOfABatchAddUp() throws {
        let losses = try [(1, false), (3, false), (2, true)].map { threads, isSplit in
            let trainee = try GoldenTrainee("t5-v1.1")
            let engine = trainee.engine(threads: threads, dropout: 0)
            let batches =
                isSplit
                ? trainee.examples.map { [$0] } : [trainee.examples]
            return (1...3).map { engine.step(batches, step: $0, rate: 1e-3).loss }
        }
        for other in losses.dropFirst() {
            for (left, right) in zip(losses[0], other) { #expect(abs(left - right) < 1e-4) }
        }
        #expect(losses[0][2] < losses[0][0])
    }

    @Test func lossThatIsNoNumberChangesNothing() throws {
        let trainee = try GoldenTrainee("t5-v1.0")
        trainee.store.values.withFloats { $0[40] = .nan }
        let before = trainee.store.values.withFloats { $0.map(\.bitPattern) }
        let outcome = trainee.engine(threads: 1).step([trainee.examples], step: 1, rate: 1e-3)
        #expect(!outcome.loss.isFinite || !outcome.gradientNorm.isFinite)
        #expect(trainee.store.values.withFloats { $0.map(\.bitPattern) } == before)
    }
}

extension GoldenTrainee {
    var examples: [IndexedExample] {
        zip(sources, targets).enumerated().map {
            IndexedExample(
                index: $0, example: TrainingExample(source: $1.0, target: $1.1))
        }
    }

    func engine(threads: Int, dropout: Float = 0.1) -> StepEngine {
        var settings = StepEngine.Settings()
        settings.dropout = dropout
        settings.clipping = 1
        return StepEngine(model, store, source: .tokens, threads: threads, settings: settings)
    }
}
