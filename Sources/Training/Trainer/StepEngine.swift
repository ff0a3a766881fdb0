internal import CKernels
internal import Foundation
internal import Inference
internal import Synchronization

/// Computes steps. A batch is dealt to threads, and each computes the forward and backward pass of
/// its part. The gradients of threads are always added in the same order, so that the same batches
/// give the same bits.
///
/// `@unchecked Sendable`: during a pass each thread has scratch memory of its own; between passes
/// one thread works.
package final class StepEngine: @unchecked Sendable {
    private let model: TrainableModel
    private let store: ParameterStore
    private let source: StateSource
    private let scratches: [ThreadScratch]

    /// What one thread computes with.
    private final class ThreadScratch {
        let workspace = Workspace()
        let gradients: FloatBuffer
        var prompts = PromptBuffers()

        init(count: Int) { gradients = FloatBuffer(count: count) }
    }

    package struct Settings: Sendable {
        package var labelSmoothing: Float = 0
        package var distillation: Float = 0
        package var dropout: Float = 0
        package var seed: UInt64 = 0
        package var clipping: Float?
        package var beta1: Float = 0.9
        package var beta2: Float = 0.98
        package var weightDecay: Float = 0.01
        package var precision = Precision.float32

        package init() {}
    }

    private let settings: Settings
    /// Added to the root of the second moment, as PyTorch's default.
    private static let epsilon: Float = 1e-8
    /// How many floats one thread takes at a time, where threads share the flat arrays.
    private static let slice = 1 << 16

    package init(
        _ model: TrainableModel, _ store: ParameterStore, source: StateSource, threads: Int,
        settings: Settings
    ) {
        Products.useOneThread()
        self.model = model
        self.store = store
        self.source = source
        self.settings = settings
        scratches = (0..<threads).map { _ in ThreadScratch(count: store.values.count) }
    }

    /// The results of a step.
    package struct Outcome: Sendable {
        /// Mean over the response tokens.
        package let loss: Double
        package let gradientNorm: Double
        package let tokens: Int
    }

    /// One step of the optimizer.
    ///
    /// - Parameters:
    ///   - batches: the batches whose gradients are added up.
    ///   - step: counted from 1.
    package func step(_ batches: [[IndexedExample]], step: Int, rate: Double) -> Outcome {
        let targets = batches.joined().reduce(0) { $0 + $1.example.target.count }
        let scale = 1 / Float(max(targets, 1))
        let parts = batches.map { $0.dealt(to: scratches.count) }
        let sums = eachThread { [self] number, scratch in
            parts.enumerated().reduce(0.0) { sum, batch in
                let key = mixed(settings.seed ^ UInt64(step) << 24 ^ UInt64(batch.offset) << 12)
                return sum
                    + self.loss(
                        batch.element[number], scratch, scale: scale,
                        dropout: Dropout(rate: settings.dropout, key: key &+ UInt64(number)))
            }
        }
        let norm = addUpGradients()
        let loss = sums.reduce(0, +) / Double(max(targets, 1))
        // A step with a loss or norm that is not finite would ruin every weight.
        if loss.isFinite, norm.isFinite { update(step: step, rate: rate, norm: norm) }
        clearGradients()
        return Outcome(
            loss: loss, gradientNorm: norm,
            tokens: batches.joined().reduce(0) { $0 + $1.example.tokens })
    }

    /// The mean loss per response token, without dropout or smoothing.
    package func validationLoss(_ batches: [[IndexedExample]]) -> Double {
        let losses = Mutex([Double](repeating: 0, count: batches.count))
        _ = eachThread { [self] number, scratch in
            for index in stride(from: number, to: batches.count, by: scratches.count) {
                let loss = self.loss(batches[index], scratch, scale: 1, dropout: nil)
                losses.withLock { $0[index] = loss }
            }
            return 0
        }
        let tokens = batches.joined().reduce(0) { $0 + $1.example.target.count }
        return losses.withLock { $0.reduce(0, +) } / Double(max(tokens, 1))
    }

    /// - Parameter dropout: nil for validation, which learns nothing.
    private func loss(
        _ examples: [IndexedExample], _ scratch: ThreadScratch, scale: Float, dropout: Dropout?
    ) -> Double {
        guard !examples.isEmpty else { return 0 }
        return scratch.workspace.scope {
            let tape = Tape(
                values: store.values, gradients: scratch.gradients, base: store.base,
                workspace: scratch.workspace, dropout: dropout ?? .none,
                isTraining: dropout != nil, precision: settings.precision)
            let input = scratch.prompts.input(
                examples, from: source,
                needsEmbeddings: model.design.projection?.addend == .adapted,
                workspace: scratch.workspace)
            let loss = model.loss(
                input, labelSmoothing: dropout == nil ? 0 : settings.labelSmoothing,
                distillation: dropout == nil ? 0 : settings.distillation, scale: scale, tape)
            tape.backward()
            return loss
        }
    }

    private func eachThread(_ work: @escaping @Sendable (Int, ThreadScratch) -> Double) -> [Double]
    {
        let results = Mutex([Double](repeating: 0, count: scratches.count))
        DispatchQueue.concurrentPerform(iterations: scratches.count) { [self] number in
            let result = work(number, scratches[number])
            results.withLock { $0[number] = result }
        }
        return results.withLock(\.self)
    }

    // MARK: The optimizer

    /// Runs `work` for slices of the flat arrays, each of them on one thread.
    private func eachSlice(_ work: @escaping @Sendable (Range<Int>) -> Void) {
        let count = store.values.count
        let slices = (count + Self.slice - 1) / Self.slice
        DispatchQueue.concurrentPerform(iterations: scratches.count) { [self] number in
            for slice in stride(from: number, to: slices, by: scratches.count) {
                work(slice * Self.slice..<min((slice + 1) * Self.slice, count))
            }
        }
    }

    /// Adds the gradients of all threads to those of the first. Returns the norm of the gradients
    /// that are trained with.
    private func addUpGradients() -> Double {
        let sums = Mutex([Int: Double]())
        eachSlice { [self] range in
            for scratch in scratches.dropFirst() {
                scratches[0].gradients.rows(range).add(scratch.gradients.rows(range))
            }
            let squares = store.parts(of: range).reduce(0) {
                $0 + Products.squares(scratches[0].gradients, $1.range)
            }
            sums.withLock { $0[range.lowerBound] = squares }
        }
        return sums.withLock { sums in
            sums.sorted { $0.key < $1.key }.reduce(0) { $0 + $1.value }.squareRoot()
        }
    }

    private func update(step: Int, rate: Double, norm: Double) {
        let clip = settings.clipping.map { min(1, $0 / Float(norm + 1e-6)) } ?? 1
        eachSlice { [self] range in
            for (part, decays) in store.parts(of: range) {
                Gradients.kernels.adamw(
                    store.values.base + part.lowerBound,
                    scratches[0].gradients.base + part.lowerBound,
                    store.mean.base + part.lowerBound, store.square.base + part.lowerBound,
                    part.count,
                    l2s_adamw(
                        rate: Float(rate), beta1: settings.beta1, beta2: settings.beta2,
                        epsilon: Self.epsilon, decay: decays ? settings.weightDecay : 0,
                        gradient_scale: clip,
                        mean_correction: 1 - pow(settings.beta1, Float(step)),
                        square_correction: 1 - pow(settings.beta2, Float(step))))
            }
        }
    }

    private func clearGradients() {
        eachSlice { [self] range in
            for scratch in scratches { scratch.gradients.rows(range).clear() }
        }
    }
}
