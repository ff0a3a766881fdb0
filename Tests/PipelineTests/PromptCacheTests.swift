import Inference
import Jobs
import TestSupport
import Testing

@testable import Pipeline

@Suite struct PromptCacheTests {
    private func pipeline(bytes: Int, types: [JobType]) throws -> Pipeline {
        Pipeline(
            library: try ModelLibrary(jobTypes: types, modelsFolder: "/"),
            settings: PipelineSettings(
                threads: 2, decoders: 1, decoderRows: 4, handoffCapacity: 8,
                promptCacheBytes: bytes))
    }

    private func documents(of type: JobType, _ texts: [String]) -> [SourceDocument] {
        texts.enumerated().map { SourceDocument(id: Int64($0), jobType: type.name, text: $1) }
    }

    @Test(arguments: ["hybrid-t5-add"] + Fixtures.classic)
    func aPromptSeenAgainIsNotReadAgain(name: String) async throws {
        let type = try goldenType(name)
        // Text that spells a special token is plain text here, but was that token for transformers.
        let golden = try Golden.load(name).cases.filter {
            !$0.document.allSatisfy(\.isWhitespace) && !$0.document.contains("<")
        }
        let pipeline = try pipeline(bytes: 1_000_000, types: [type])
        defer { pipeline.stop() }
        let documents = documents(of: type, golden.map(\.document))
        let first = await pipeline.process(documents)
        #expect(pipeline.statistics.promptCache.hits == 0)
        let second = await pipeline.process(documents)
        let statistics = pipeline.statistics.promptCache
        #expect(statistics.hits == golden.count)
        #expect(statistics.misses == golden.count)
        #expect(statistics.entries == golden.count)
        let tokens = golden.reduce(0) { $0 + $1.inputIds.count }
        // 4 bytes of id and the 32 floats of the decoder's width per token.
        #expect(statistics.bytes == tokens * 4 * (1 + 32))
        for (index, golden) in golden.enumerated() {
            let (read, kept) = (first[Int64(index)], second[Int64(index)])
            #expect(read?.tokens == golden.greedyIds)
            #expect(kept?.tokens == golden.greedyIds)
            #expect(read?.measurements.stages.encode != .zero)
            #expect(kept?.measurements.stages.encode == .zero)
            #expect(kept?.measurements.encodeSource == .cache)
        }
    }

    @Test func otherModelsDoNotShareStates() async throws {
        // One encoder, and an SLM whose projector changes its states.
        var own = try goldenType("hybrid-t5-cross")
        own.name = "own"
        own.mode = .llm
        own.slm = nil
        let hybrid = try goldenType("hybrid-t5-cross")
        let pipeline = try pipeline(bytes: 1_000_000, types: [own, hybrid])
        defer { pipeline.stop() }
        let golden = try #require(try Golden.load("hybrid-t5-cross").cases.first)
        _ = await pipeline.process(documents(of: own, [golden.document]))
        let written = await pipeline.process(documents(of: hybrid, [golden.document]))
        #expect(written[0]?.tokens == golden.greedyIds)
        #expect(pipeline.statistics.promptCache.hits == 0)
    }

    @Test func noBytesAreNoCache() async throws {
        let type = try goldenType("t5-v1.0")
        let pipeline = try pipeline(bytes: 0, types: [type])
        defer { pipeline.stop() }
        for _ in 0..<2 { _ = await pipeline.process(documents(of: type, ["a", "b"])) }
        #expect(pipeline.statistics.promptCache == PromptCacheStatistics())
    }
}

@Suite struct LeastRecentlyUsedTests {
    @Test func whatWasUnusedForLongestLeaves() {
        var cache = LeastRecentlyUsed<String, Int>(costLimit: 10)
        for (index, key) in ["a", "b", "c"].enumerated() { cache.insert(index, for: key, cost: 3) }
        #expect(cache.use("a") == 0)
        cache.insert(3, for: "d", cost: 3)
        #expect(cache.use("b") == nil)
        #expect(cache.use("a") == 0 && cache.use("c") == 2 && cache.use("d") == 3)
        cache.insert(4, for: "e", cost: 11)
        #expect(cache.use("e") == nil && cache.count == 3)
        cache.insert(5, for: "a", cost: 10)
        #expect(cache.count == 1 && cache.cost == 10 && cache.use("a") == 5)
    }

    /// The twin is a list that is searched and shifted.
    @Test func agreesWithItsNaiveTwin() {
        let seed = SeededRandom.newSeed()
        var random = SeededRandom(seed: seed)
        var cache = LeastRecentlyUsed<Int, Int>(costLimit: 40)
        var twin: [(key: Int, value: Int, cost: Int)] = []
        for round in 0..<3_000 {
            let key = Int.random(in: 0..<12, using: &random)
            let known = twin.firstIndex { $0.key == key }.map { twin.remove(at: $0) }
            if Bool.random(using: &random) {
                if let known { twin.append(known) }
                #expect(cache.use(key) == known?.value, "seed \(seed)")
            } else {
                let cost = Int.random(in: 0...45, using: &random)
                cache.insert(round, for: key, cost: cost)
                if cost <= 40 {
                    twin.append((key, round, cost))
                    while twin.reduce(0, { $0 + $1.cost }) > 40 { twin.removeFirst() }
                }
            }
            #expect(cache.count == twin.count, "seed \(seed)")
            #expect(cache.cost == twin.reduce(0) { $0 + $1.cost }, "seed \(seed)")
        }
    }
}
