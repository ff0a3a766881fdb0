internal import Foundation

/// Decides which examples make which batch, from the seed and the epoch alone. A position in the
/// training is an epoch and the number of a batch, so a run may start from any position.
package struct ExampleBatches: Sendable {
    private let tokens: [Int]
    private let targets: [Int]
    private let tokensPerBatch: Int
    private let seed: UInt64
    /// For each task, its examples, and how many of them a pass takes.
    private let tasks: [(examples: [Int], taken: Int)]

    /// How many batches have their examples sorted by length together. With fewer, the lengths
    /// within a batch differ more; with more, an epoch is less random.
    private static let batchesPerBucket = 64

    /// - Parameters:
    ///   - tokensPerBatch: source and target tokens; a longer example is a batch alone.
    ///   - shares: the share of each task in a pass. A pass is as long as it can be without taking
    ///     an example twice, and the next passes take what it leaves out. With nil, a pass takes
    ///     all examples of all tasks.
    package init(
        _ examples: [TrainingExample], tokensPerBatch: Int, seed: UInt64, shares: [Double]? = nil
    ) {
        let groups = Dictionary(grouping: examples.indices) { examples[$0].task }
            .sorted { $0.key < $1.key }
        let shares = groups.map { group in
            shares.map { $0[group.key] } ?? Double(group.value.count)
        }
        let length = zip(groups, shares).map { Double($0.value.count) / $1 }.min() ?? 0
        tasks = zip(groups, shares).map { group, share in
            (group.value, max(1, Int((length * share).rounded(.down))))
        }
        tokens = examples.map(\.tokens)
        targets = examples.map(\.target.count)
        self.tokensPerBatch = tokensPerBatch
        self.seed = seed
    }

    /// The batches of one pass over all examples, as indices; each occurs once at most.
    package func batches(epoch: Int) -> [[Int]] {
        var random = SplitMix64(seed: seed ^ UInt64(epoch) &* 0x9E37_79B9_7F4A_7C15)
        let order = examples(epoch: epoch).shuffled(using: &random)
        var batches: [[Int]] = []
        var bucket: [Int] = []
        var size = 0
        for index in order {
            bucket.append(index)
            size += tokens[index]
            if size >= tokensPerBatch * Self.batchesPerBucket {
                batches += cut(bucket)
                (bucket, size) = ([], 0)
            }
        }
        batches += cut(bucket)
        return batches.shuffled(using: &random)
    }

    /// The examples of a pass. Each task gives as many as its share says, in an order that is
    /// shuffled anew for each round through its examples.
    private func examples(epoch: Int) -> [Int] {
        tasks.enumerated().flatMap { number, task -> [Int] in
            let count = task.examples.count
            guard task.taken < count else { return task.examples }
            func round(_ round: Int) -> [Int] {
                let key = seed ^ UInt64(number + 1) << 48 ^ UInt64(round) << 32
                var random = SplitMix64(seed: key)
                return task.examples.shuffled(using: &random)
            }
            let first = epoch * task.taken
            let start = round(first / count).dropFirst(first % count).prefix(task.taken)
            // If the round ends within the pass, the next round gives the rest, without examples
            // that the pass already has.
            guard start.count < task.taken else { return Array(start) }
            let had = Set(start)
            let next = round(first / count + 1).lazy.filter { !had.contains($0) }
            return Array(start) + next.prefix(task.taken - start.count)
        }
    }

    private func cut(_ bucket: [Int]) -> [[Int]] {
        let sorted = bucket.sorted {
            (targets[$0], tokens[$0], $0) < (targets[$1], tokens[$1], $1)
        }
        var batches: [[Int]] = []
        var batch: [Int] = []
        var size = 0
        for index in sorted {
            if !batch.isEmpty, size + tokens[index] > tokensPerBatch {
                batches.append(batch)
                (batch, size) = ([], 0)
            }
            batch.append(index)
            size += tokens[index]
        }
        if !batch.isEmpty { batches.append(batch) }
        return batches
    }
}

/// Steele, Lea and Flood's generator: the same numbers on every machine for the same seed.
package struct SplitMix64: RandomNumberGenerator, Sendable {
    private var state: UInt64

    package init(seed: UInt64) { state = seed }

    package mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }

    /// Uniform in 0 ..< 1.
    package mutating func unit() -> Float { Float(next() >> 40) * 0x1p-24 }

    /// A number of the standard normal distribution, by Box and Muller.
    package mutating func normal() -> Float {
        let radius = (-2 * log(1 - unit())).squareRoot()
        return radius * cos(2 * .pi * unit())
    }
}
