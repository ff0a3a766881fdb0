import Checkpoints
import TestSupport
import Testing

@testable import Inference

/// Speculative decoding writes what the large model alone writes, whatever is proposed.
@Suite struct SpeculationTests {
    @Test(arguments: WeightFormat.allCases, [1, 4, 9])
    func outputsAreThoseOfTheLargeModel(format: WeightFormat, length: Int) throws {
        let pair = try SpeculativePair(format: format)
        let prompts = try Golden.load("hybrid-t5-cross").cases.map(\.inputIds)
        for options in [
            DecodingOptions(maximumNewTokens: 24), DecodingOptions(maximumNewTokens: 1),
            DecodingOptions(maximumNewTokens: 40, noRepeatNgram: 2),
            DecodingOptions(maximumNewTokens: 60, minimumNewTokens: 60, noRepeatNgram: 3),
            DecodingOptions(maximumNewTokens: 24, decoderPrompt: [7]),
            DecodingOptions(maximumNewTokens: 24, noRepeatNgram: 2, decoderPrompt: [7, 300, 12]),
        ] {
            let expected = pair.write(prompts, options: options, length: nil)
            let found = pair.write(prompts, options: options, length: length)
            #expect(found.map { $0?.tokens } == expected.map { $0?.tokens })
            let drafted = found.reduce(0) { $0 + ($1?.drafted ?? 0) }
            #expect((drafted > 0) == (options.maximumNewTokens > 1))
        }
    }

    /// A large model that proposes to itself is always right: all proposals are taken.
    @Test(arguments: ["t5-v1.1"] + GoldenTests.classic, [1, 4, 9])
    func rightProposalsAreTaken(name: String, length: Int) throws {
        let model = try GoldenModel(name)
        let cases = try Golden.load(name).cases
        let replica = DecoderReplica(model: model.decoder, draftModel: model.decoder)
        let states = model.encode(cases.map(\.inputIds))
        replica.admit(
            states.enumerated().map { index, states in
                .init(
                    id: index, states: states, options: DecodingOptions(maximumNewTokens: 24),
                    draft: DraftRequest(states: states, head: model.decoder.head, length: length))
            })
        var steps = 0
        while replica.count > 0 {
            steps += 1
            for (id, response) in replica.step() {
                #expect(response.tokens == cases[id].greedyIds)
                #expect(response.accepted == response.drafted)
                // Each step adds what was proposed and one token more.
                #expect(steps == (response.tokens.count + length) / (length + 1))
            }
        }
    }

    @Test func confidenceIsThatOfTheChosenTokens() throws {
        let model = try GoldenModel("hybrid-t5-cross")
        let golden = try Golden.load("hybrid-t5-cross").cases
        let states = model.encode(golden.map(\.inputIds))
        let plain = model.write(states, options: DecodingOptions(maximumNewTokens: 24))
        let measured = model.write(
            states, options: DecodingOptions(maximumNewTokens: 24, measuresConfidence: true))
        for (plain, measured) in zip(plain, measured) {
            #expect(plain?.tokens == measured?.tokens)
            #expect(plain?.confidence == nil)
            let confidence = try #require(measured?.confidence)
            #expect(confidence.least <= confidence.mean && confidence.mean <= 1)
            #expect(confidence.least > 0)
        }
        // With one token, its probability is known from all logits of the step.
        let first = model.write(
            states, options: DecodingOptions(maximumNewTokens: 1, measuresConfidence: true))
        for (index, response) in first.enumerated() {
            let logits = model.firstLogits(states[index])
            let top = logits.max() ?? 0
            let sum = logits.reduce(0) { $0 + Double(exponential($1 - top)) }
            #expect(abs((response?.confidence?.mean ?? 0) * sum - 1) < 1e-4)
        }
    }
}

extension GoldenModel {
    fileprivate func firstLogits(_ states: PromptStates) -> [Float] {
        let workspace = Workspace()
        let row = decoder.open(
            [OpenedPrompt(states: states, maximumNewTokens: 1)], workspace: workspace)
        let hidden = FloatBuffer(count: decoder.stateWidth)
        let logits = FloatBuffer(count: decoder.head.columns)
        decoder.step(row, tokens: [decoder.head.startID], into: hidden, workspace: workspace)
        decoder.head.logits(
            hidden.rows(width: decoder.stateWidth), into: logits.rows(width: decoder.head.columns),
            workspace: workspace)
        return logits.withFloats { Array($0) }
    }
}

/// The large and the small model of a hybrid golden.
private struct SpeculativePair {
    let small: GoldenModel
    let large: any DecoderModel

    init(format: WeightFormat) throws {
        small = try GoldenModel("hybrid-t5-cross", format: format)
        large = try Decoders.own(
            ModelFolder(path: Fixtures.path("golden/hybrid-t5-cross/llm")), format: format)
    }

    /// - Parameter length: the most proposals at a time; nil for the large model alone.
    func write(_ prompts: [[Int32]], options: DecodingOptions, length: Int?) -> [Response?] {
        let states = small.encoder.encode(
            prompts.map { ($0, [.identity, small.projector]) }, workspace: Workspace())
        let replica = DecoderReplica(
            model: large, draftModel: length.map { _ in small.decoder })
        var responses = [Response?](repeating: nil, count: prompts.count)
        // Some join while others are being written.
        for (index, states) in states.enumerated() {
            replica.admit([
                .init(
                    id: index, states: states[0], options: options,
                    draft: length.map {
                        DraftRequest(states: states[1], head: small.decoder.head, length: $0)
                    })
            ])
            for (id, response) in replica.step() { responses[id] = response }
        }
        while replica.count > 0 {
            for (id, response) in replica.step() { responses[id] = response }
        }
        return responses
    }
}
