import Checkpoints
import TestSupport
import Testing

@testable import Inference

/// States of decoder-only models after any of their layers, alone and in one ragged batch.
@Suite struct DecoderStateTests {
    private func first4(_ states: PromptStates) -> [Float] {
        states.withFloats { floats in
            (0..<states.tokens).flatMap { row in (0..<4).map { floats[row * states.width + $0] } }
        }
    }

    @Test(
        arguments: ["llama", "gemma3"] + Fixtures.families.filter { !$0.hasPrefix("hybrid") },
        [false, true])
    func afterEachLayer(name: String, inOneBatch: Bool) throws {
        let encoder = try Encoder(ModelFolder(path: Fixtures.model(name) + "/llm"))
        let cases = try Golden.load(name).cases
        let layers: [String: Int?] = ["1": 1, "2": 2, "last": nil]
        let projectors = layers.map {
            (key: $0.key, projector: Projector.states(afterLayer: $0.value))
        }
        let prompts = cases.map { ($0.inputIds, projectors.map(\.projector)) }
        let states =
            inOneBatch
            ? encoder.encode(prompts, workspace: Workspace())
            : prompts.flatMap { encoder.encode([$0], workspace: Workspace()) }
        for (found, golden) in zip(states, cases) {
            for (own, key) in zip(found, projectors.map(\.key)) {
                let expected = try #require(golden.layerFirst4?[key])
                #expect(agrees(first4(own), expected.flatMap(\.self)), "after \(key)")
            }
        }
    }

    /// A hybrid reads no further than the layer it takes its states from, and loads no more.
    @Test(arguments: ["hybrid-llama-cross", "hybrid-llama-replace"])
    func ofAHybridsLayer(name: String) throws {
        let model = try GoldenModel(name)
        #expect(model.encoder.depth == 1)
        let cases = try Golden.load(name).cases
        let read = model.encoder.encode(
            cases.map { ($0.inputIds, [.states(afterLayer: 1), model.projector]) },
            workspace: Workspace())
        for (found, golden) in zip(read, cases) {
            let (states, projected) = (golden.llmFirst4 ?? [], golden.projectedFirst4 ?? [])
            #expect(agrees(first4(found[0]), states.flatMap(\.self)))
            #expect(agrees(first4(found[1]), projected.flatMap(\.self)))
        }
    }

    /// Reading deeper for another decoder changes no bit of the states that were taken on the way.
    @Test(arguments: ["llama", "gemma3"], WeightFormat.allCases)
    func depthChangesNothing(name: String, format: WeightFormat) throws {
        let folder = try ModelFolder(path: Fixtures.model(name) + "/llm")
        let prompts = try Golden.load(name).cases.map(\.inputIds)
        func read(_ encoder: Encoder, _ projectors: [Projector]) -> [[Float]] {
            encoder.encode(prompts.map { ($0, projectors) }, workspace: Workspace())
                .map { $0[0].withFloats { Array($0) } }
        }
        let shallow = read(try Encoder(folder, format: format, depth: 2), [.states(afterLayer: 2)])
        let deep = read(
            try Encoder(folder, format: format),
            [.states(afterLayer: 2), .identity, .states(afterLayer: 3)])
        #expect(shallow == deep)
    }

    /// A beginning that is read once for all prompts gives the bits of one that is read with each.
    @Test(arguments: ["llama", "gemma3", "mistral"], WeightFormat.allCases)
    func aSharedBeginningChangesNothing(name: String, format: WeightFormat) throws {
        let folder = try ModelFolder(path: Fixtures.model(name) + "/llm")
        let golden = try Golden.load(name).cases.map(\.inputIds)
        let beginning = Array(golden.joined().prefix(21))
        // Prompts that begin so, one that is only the beginning, and others.
        let prompts = golden.map { beginning + $0 } + [beginning] + golden
        let projectors: [Projector] = [
            .states(afterLayer: 1), .states(), .identity,
        ]
        let decoder = try Decoders.own(folder, format: format)
        func read(_ beginnings: [[Int32]]) throws -> (states: [[Float]], scores: [Float?]) {
            let encoder = try Encoder(folder, format: format)
            for beginning in beginnings { encoder.share(beginning) }
            let read = encoder.encode(prompts.map { ($0, projectors) }, workspace: Workspace())
            let states = read.flatMap { own in own[..<2].map { $0.withFloats { Array($0) } } }
            let replica = DecoderReplica(model: decoder)
            replica.admit(
                read.enumerated().map {
                    .init(
                        id: $0, states: $1[2],
                        options: DecodingOptions(maximumNewTokens: 6, beams: 2))
                })
            var scores = [Float?](repeating: nil, count: prompts.count)
            while replica.count > 0 {
                for (id, response) in replica.step() { scores[id] = response.score }
            }
            return (states, scores)
        }
        let expected = try read([])
        let found = try read([Array(beginning.prefix(9)), beginning])
        #expect(found.states == expected.states)
        #expect(found.scores == expected.scores && !found.scores.contains(nil))
    }

    @Test func aLayerBeyondTheLargeModelIsRefused() throws {
        let copy = try ScratchFolder()
        try copy.copy(fixture: "golden/hybrid-llama-cross")
        let slm = copy.path + "/hybrid-llama-cross/slm"
        try copy.write(
            "hybrid-llama-cross/slm/l2s.json",
            #"{"format": 2, "llm": "../llm", "fusion": "cross_attention", "llm_layer": 4}"#.utf8)
        let manifest = try SLMManifest(folder: slm)
        let llm = try ModelFolder(path: manifest.llmPath)
        let encoder = try Encoder(llm, depth: manifest.llmDepth)
        let error = #expect(throws: InferenceError.self) {
            _ = try Projector(manifest, slm: ModelFolder(path: slm), encoder: encoder)
        }
        #expect(error.map { "\($0)".contains("which has 3") } == true)
    }
}
