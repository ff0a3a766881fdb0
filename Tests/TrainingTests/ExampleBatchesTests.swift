import Testing

@testable import Training

@Suite struct ExampleBatchesTests {
    private let examples: [TrainingExample] = {
        var random = SplitMix64(seed: 7)
        return (0..<3000).map { _ in
            TrainingExample(
                source: [Int32](repeating: 3, count: Int.random(in: 1...60, using: &random)),
                target: [Int32](repeating: 4, count: Int.random(in: 1...40, using: &random)))
        }
    }()

    @Test func everyExampleOccursOncePerEpochWithinTheLimit() {
        let batches = ExampleBatches(examples, tokensPerBatch: 500, seed: 1)
        for epoch in 0..<3 {
            let epochBatches = batches.batches(epoch: epoch)
            #expect(epochBatches.joined().sorted() == Array(examples.indices))
            for batch in epochBatches {
                #expect(batch.reduce(0) { $0 + examples[$1].tokens } <= 500)
            }
        }
    }

    @Test func anExampleOverTheLimitIsABatchAlone() {
        let long = TrainingExample(source: [Int32](repeating: 1, count: 900), target: [1])
        let batches = ExampleBatches([long] + examples, tokensPerBatch: 500, seed: 1)
        #expect(batches.batches(epoch: 0).contains([0]))
    }

    @Test func seedAndEpochDecideAlone() {
        let batches = ExampleBatches(examples, tokensPerBatch: 500, seed: 1)
        let same = ExampleBatches(examples, tokensPerBatch: 500, seed: 1)
        let other = ExampleBatches(examples, tokensPerBatch: 500, seed: 2)
        #expect(batches.batches(epoch: 4) == same.batches(epoch: 4))
        #expect(batches.batches(epoch: 4) != batches.batches(epoch: 5))
        #expect(batches.batches(epoch: 4) != other.batches(epoch: 4))
    }

    @Test func lengthsWithinABatchAreAlike() {
        let batches = ExampleBatches(examples, tokensPerBatch: 500, seed: 1).batches(epoch: 0)
        func spread(_ batch: [Int]) -> Int {
            let lengths = batch.map { examples[$0].target.count }
            return (lengths.max() ?? 0) - (lengths.min() ?? 0)
        }
        let mean = batches.reduce(0) { $0 + spread($1) } / batches.count
        #expect(mean < 4, "targets of a batch differ by \(mean) tokens of 1 to 40")
    }

    /// Each pass follows the shares, and over many passes no example is left out.
    @Test func tasksHaveTheirShares() {
        let examples = (0..<130).map {
            TrainingExample(source: [1, 2], target: [Int32($0)], task: $0 < 100 ? 0 : 1)
        }
        let batches = ExampleBatches(examples, tokensPerBatch: 20, seed: 5, shares: [1, 1])
        var times = [Int](repeating: 0, count: examples.count)
        for epoch in 0..<20 {
            let pass = batches.batches(epoch: epoch).flatMap(\.self)
            #expect(Set(pass).count == pass.count)
            #expect(pass.count { $0 < 100 } == 30)
            #expect(pass.count { $0 >= 100 } == 30)
            for index in pass { times[index] += 1 }
        }
        #expect(times.allSatisfy { $0 > 0 }, "\(times)")
    }
}
