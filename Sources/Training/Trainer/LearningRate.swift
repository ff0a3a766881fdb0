internal import Foundation
package import Settings

/// The learning rate of each step.
package struct LearningRate: Sendable {
    private let optimizer: TrainingRecipe.Optimizer

    /// The share of the rate that is left at the end of a cosine.
    private static let floor = 0.02

    package init(_ optimizer: TrainingRecipe.Optimizer) { self.optimizer = optimizer }

    /// - Parameters:
    ///   - step: counted from 1.
    ///   - fraction: the part of the training that is done, 0 … 1.
    package func rate(step: Int, fraction: Double) -> Double {
        let warmup = Double(optimizer.warmupSteps)
        let step = Double(step)
        let rise = warmup > 0 ? min(1, step / warmup) : 1
        let fall =
            switch optimizer.schedule {
            case .cosine: Self.floor + (1 - Self.floor) * (1 + cos(.pi * min(fraction, 1))) / 2
            case .inverseSquareRoot: (max(warmup, 1) / max(step, warmup, 1)).squareRoot()
            }
        return optimizer.learningRate * rise * fall
    }
}
