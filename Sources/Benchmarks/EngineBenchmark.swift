internal import Foundation
package import Inference
internal import Synchronization

/// Times one model on random token ids, for `l2s bench engine`.
///
/// A batch is dealt evenly to the threads, as the pipeline's lanes take it: each reads its part
/// and then writes it, so nothing waits at a barrier. Threads without a document help the others.
package struct EngineBenchmark: Sendable {
    package struct Settings: Sendable {
        package var sourceLength = 256
        package var newTokens = 64
        package var beams = 1
        package var threads = 1
        package var repetitions = 5
        package var pinsThreads = false

        package init() {}
    }

    /// Medians over the repetitions.
    package struct Result: Sendable, Codable {
        package let batchSize: Int
        package let encodeMilliseconds: Double
        package let millisecondsPerStep: Double
        package let totalMilliseconds: Double
        /// Shortest and longest run.
        package let spreadMilliseconds: [Double]
        package let documentsPerSecond: Double
        package let newTokensPerSecond: Double
        package let sourceTokensPerSecond: Double
        /// 10⁹ multiplications and additions per second while encoding.
        package let encodeGigaOperations: Double
    }

    private let encoder: Encoder
    private let projector: Projector
    private let decoder: any DecoderModel
    private let settings: Settings
    /// One per thread, as lanes have them.
    private let workspaces: Workspaces

    package init(
        encoder: Encoder, projector: Projector, decoder: any DecoderModel, settings: Settings
    ) {
        self.encoder = encoder
        self.projector = projector
        self.decoder = decoder
        self.settings = settings
        workspaces = Workspaces(count: settings.threads)
    }

    /// Tokens read and written by `run`, the warm-up included.
    package func tokens(batchSize: Int) -> Int {
        batchSize * (settings.sourceLength + settings.newTokens) * (settings.repetitions + 1)
    }

    /// The cost of a step for one document, halfway through its response.
    package var stepCost: StepCost {
        decoder.stepCost(
            sourceTokens: settings.sourceLength, position: settings.newTokens / 2,
            head: decoder.head)
    }

    /// How near to the floor of the machine a result is: the floor's time divided by the measured one.
    package struct Shares: Sendable, Codable {
        package let batchSize: Int
        package let encode: Double
        /// May exceed 1 if the weights stay in the caches, because the floor reads them from memory.
        package let step: Double
    }

    package func shares(of result: Result, floor: MachineFloor) -> Shares {
        let documents = Double(result.batchSize)
        let rows = documents * Double(settings.beams)
        let (cost, tokens) = (stepCost, settings.sourceLength)
        return Shares(
            batchSize: result.batchSize,
            encode: floor.milliseconds(
                operations: documents * encoder.operations(tokens: tokens), bytes: 0)
                / result.encodeMilliseconds,
            step: floor.milliseconds(
                operations: rows * cost.operations, bytes: cost.weightBytes + rows * cost.cacheBytes
            )
                / result.millisecondsPerStep)
    }

    package func run(batchSize: Int, progress: (Int) -> Void = { _ in }) -> Result {
        Self.run([self], batchSize: batchSize, progress: progress)[0]
    }

    /// Runs several benchmarks with the same settings in turn, so that a slow moment of the machine
    /// affects all of them.
    ///
    /// - Parameter progress: called with the tokens of the runs so far.
    package static func run(
        _ benchmarks: [EngineBenchmark], batchSize: Int, progress: (Int) -> Void = { _ in }
    ) -> [Result] {
        for benchmark in benchmarks { _ = benchmark.once(batchSize: batchSize) }
        let repetitions = benchmarks.first?.settings.repetitions ?? 0
        let all = benchmarks.reduce(0) { $0 + $1.tokens(batchSize: batchSize) }
        let rounds = (0..<repetitions).map { number in
            progress((number + 1) * all / (repetitions + 1))
            return benchmarks.map { $0.once(batchSize: batchSize) }
        }
        return benchmarks.indices.map { index in
            benchmarks[index].result(of: rounds.map { $0[index] }, batchSize: batchSize)
        }
    }

    private func result(of runs: [(encode: Double, total: Double)], batchSize: Int) -> Result {
        let total = median(runs.map(\.total))
        let encode = median(runs.map(\.encode))
        let decode = median(runs.map { $0.total - $0.encode })
        let perSecond = Double(batchSize) / total * 1_000
        return Result(
            batchSize: batchSize, encodeMilliseconds: encode,
            millisecondsPerStep: decode / Double(settings.newTokens), totalMilliseconds: total,
            spreadMilliseconds: [runs.map(\.total).min() ?? 0, runs.map(\.total).max() ?? 0],
            documentsPerSecond: perSecond,
            newTokensPerSecond: perSecond * Double(settings.newTokens),
            sourceTokensPerSecond: Double(batchSize * settings.sourceLength) / encode * 1_000,
            encodeGigaOperations: Double(batchSize)
                * encoder.operations(tokens: settings.sourceLength) / encode / 1e6)
    }

    /// Milliseconds until the last thread had read its part, and until the last had written it.
    private func once(batchSize: Int) -> (encode: Double, total: Double) {
        let lanes = min(settings.threads, batchSize)
        let crews = (0..<lanes).map { _ in Crew() }
        let ends = Ends()
        let clock = ContinuousClock()
        let start = clock.now
        let group = DispatchGroup()
        for thread in 0..<settings.threads {
            group.enter()
            Thread.detachNewThread {
                if settings.pinsThreads { ComputeThread.pin(to: thread) }
                let crew = crews[thread % lanes]
                if thread < lanes {
                    let count = batchSize / lanes + (thread < batchSize % lanes ? 1 : 0)
                    let states = encode(count: count, lane: thread, crew: crew)
                    let encoded = clock.now
                    write(states, crew: crew)
                    ends.add(
                        encode: start.duration(to: encoded) / .milliseconds(1),
                        total: start.duration(to: clock.now) / .milliseconds(1))
                } else {
                    crew.help(with: workspaces.all[thread]) { ends.count == lanes }
                }
                group.leave()
            }
        }
        group.wait()
        return ends.last
    }

    private func encode(count: Int, lane: Int, crew: Crew) -> [PromptStates] {
        workspaces.all[lane].crew = crew
        // The work does not depend on the ids; they only have to differ.
        let prompts = (0..<count).map { document in
            (0..<settings.sourceLength).map { position in
                Int32((lane * 7_919 + document * 104_729 + position * 31) % encoder.vocabularyRows)
            }
        }
        return encoder.encode(prompts.map { ($0, projector) }, workspace: workspaces.all[lane])
    }

    private func write(_ states: [PromptStates], crew: Crew) {
        let replica = DecoderReplica(model: decoder)
        replica.crew = crew
        let options = DecodingOptions(
            maximumNewTokens: settings.newTokens, minimumNewTokens: settings.newTokens,
            beams: settings.beams)
        replica.admit(
            states.enumerated().map { .init(id: $0.offset, states: $0.element, options: options) })
        while replica.count > 0 { _ = replica.step() }
    }
}

/// `@unchecked Sendable`: each is used by one thread at a time.
private final class Workspaces: @unchecked Sendable {
    let all: [Workspace]

    init(count: Int) { all = (0..<count).map { _ in Workspace() } }
}

/// When the last lane of a run had read, and when the last had written. `@unchecked Sendable`: all
/// access is under the lock.
private final class Ends: @unchecked Sendable {
    private let lock = NSLock()
    private var latest = (encode: 0.0, total: 0.0)
    private let ended = Atomic<Int>(0)

    /// Lanes that have ended.
    var count: Int { ended.load(ordering: .relaxed) }
    var last: (encode: Double, total: Double) { lock.withLock { latest } }

    func add(encode: Double, total: Double) {
        lock.withLock {
            latest = (max(latest.encode, encode), max(latest.total, total))
        }
        ended.add(1, ordering: .relaxed)
    }
}

package func median(_ values: [Double]) -> Double {
    let sorted = values.sorted()
    guard !sorted.isEmpty else { return .nan }
    let middle = sorted.count / 2
    return sorted.count % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}
