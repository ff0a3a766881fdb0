import CKernels
import Checkpoints
import Foundation
import Synchronization
import TestSupport
import Testing

@testable import Inference

/// Lanes that help another lane.
@Suite struct CrewTests {
    /// Runs `body` while `count` threads help.
    private func withHelpers<R>(_ count: Int, of crew: Crew, _ body: () throws -> R) rethrows -> R {
        let isOver = Latch()
        let threads = DispatchGroup()
        for _ in 0..<count {
            threads.enter()
            Thread.detachNewThread {
                crew.help(with: Workspace()) { isOver.isSet }
                threads.leave()
            }
        }
        defer {
            isOver.set()
            threads.wait()
        }
        while crew.members <= count { l2s_pause(1) }
        return try body()
    }

    @Test func everyPieceIsComputedOnceWhileHelpersComeAndGo() {
        var random = KernelTests.Random(61)
        let crew = Crew()
        let workspace = Workspace()
        workspace.crew = crew
        let isOver = Latch()
        let threads = DispatchGroup()
        for _ in 0..<3 {
            threads.enter()
            Thread.detachNewThread {
                let own = Workspace()
                // Each stays for a few looks at a time.
                while !isOver.isSet {
                    var looks = 0
                    crew.help(with: own) {
                        looks += 1
                        return looks > 50 || isOver.isSet
                    }
                }
                threads.leave()
            }
        }
        let most = 40
        let times = UnsafeMutablePointer<Int>.allocate(capacity: most)
        defer { times.deallocate() }
        for round in 0..<20_000 {
            let pieces = random.int(1...most)
            times.update(repeating: 0, count: most)
            workspace.share(pieces) { piece, _ in times[piece] += 1 }
            let found = (0..<most).map { times[$0] }
            let expected = (0..<most).map { $0 < pieces ? 1 : 0 }
            guard found == expected else {
                Issue.record("round \(round), seed \(KernelTests.seed): \(found)")
                break
            }
        }
        isOver.set()
        threads.wait()
    }

    @Test(arguments: WeightFormat.allCases)
    func productsHaveTheSameBits(format: WeightFormat) {
        var random = KernelTests.Random(62)
        let crew = Crew(smallestShared: 1)
        let (alone, shared) = (Workspace(), Workspace())
        shared.crew = crew
        withHelpers(2, of: crew) {
            for _ in 0..<60 {
                let (rows, inner, columns) = (
                    random.int(1...160), 16 * random.int(1...12), random.int(1...300)
                )
                let input = FloatBuffer(random.floats(rows * inner))
                let bias = WeightVector(buffer: FloatBuffer(random.floats(columns)))
                let weights = PackedMatrix(
                    rows: FloatBuffer(random.floats(columns * inner)), columns: columns,
                    inner: inner, format: format)
                let products = [alone, shared].map { workspace in
                    let output = FloatBuffer(count: rows * columns)
                    Operators.multiply(
                        input.rows(width: inner), weights, into: output.rows(width: columns),
                        bias: bias, activation: .relu, workspace: workspace)
                    return output.withFloats { Array($0) }
                }
                #expect(
                    products[0] == products[1],
                    "[\(rows), \(inner)] · [\(inner), \(columns)], seed \(KernelTests.seed)")
            }
        }
    }

    /// The names are those of families that have an attention of their own.
    @Test(
        arguments: ["t5-v1.1", "llama", "gemma3", "marian", "t5gemma", "hybrid-llama-replace"],
        WeightFormat.allCases)
    func modelsWriteTheSameBits(name: String, format: WeightFormat) throws {
        let model = try GoldenModel(name, format: format)
        // Long enough that everything is cut into several pieces.
        let prompts = try Golden.load(name).cases.map { golden in
            Array([[Int32]](repeating: golden.inputIds, count: 8).joined().prefix(100))
        }
        let options = DecodingOptions(maximumNewTokens: 6, minimumNewTokens: 6)
        func outcome(_ crew: Crew?) -> (states: [[Float]], tokens: [[Int32]?]) {
            let workspace = Workspace()
            workspace.crew = crew
            let states = model.encoder.encode(
                prompts.map { ($0, model.projector) }, workspace: workspace)
            let replica = DecoderReplica(model: model.decoder)
            replica.crew = crew
            replica.admit(
                states.enumerated().map {
                    .init(id: $0.offset, states: $0.element, options: options)
                })
            var tokens = [[Int32]?](repeating: nil, count: prompts.count)
            while replica.count > 0 {
                for (id, response) in replica.step() { tokens[id] = response.tokens }
            }
            return (states.map { $0.withFloats { Array($0) } }, tokens)
        }
        let crew = Crew(smallestShared: 1)
        let alone = outcome(nil)
        let shared = withHelpers(2, of: crew) { outcome(crew) }
        #expect(alone.states == shared.states)
        #expect(alone.tokens == shared.tokens)
    }
}

private final class Latch: Sendable {
    private let value = Atomic<Bool>(false)
    var isSet: Bool { value.load(ordering: .relaxed) }
    func set() { value.store(true, ordering: .relaxed) }
}
