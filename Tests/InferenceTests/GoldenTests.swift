import Checkpoints
import Foundation
import TestSupport
import Testing

@testable import Inference

/// Models agree with everything in golden/, alone and in one batch.
@Suite struct GoldenTests {
    static let all =
        Fixtures.goldens + Fixtures.rotary + Fixtures.families + classic
    static let classic = Fixtures.classic + Fixtures.classicFamilies
    static let plain = all.filter { !$0.hasPrefix("hybrid") }

    @Test(arguments: plain.filter { $0.hasPrefix("t5") } + classic, [false, true])
    func encoderStates(name: String, inOneBatch: Bool) throws {
        let model = try GoldenModel(name)
        let cases = try Golden.load(name).cases
        let prompts = cases.map(\.inputIds)
        let states =
            inOneBatch ? model.encode(prompts) : prompts.flatMap { model.encode([$0]) }
        for (found, expected) in zip(states, cases) {
            found.withFloats { floats in
                let first4 = (0..<found.tokens).flatMap { row in
                    (0..<4).map { floats[row * found.width + $0] }
                }
                #expect(agrees(first4, (expected.encoderFirst4 ?? []).flatMap { $0 }))
                let mean = floats.reduce(0) { $0 + abs($1) } / Float(floats.count)
                #expect(agrees([mean], [expected.encoderAbsMean ?? .nan]))
            }
        }
    }

    @Test(arguments: all)
    func firstLogits(name: String) throws {
        let model = try GoldenModel(name)
        let cases = try Golden.load(name).cases
        let workspace = Workspace()
        let rows = model.decoder.open(
            model.encode(cases.map(\.inputIds)).map {
                OpenedPrompt(states: $0, maximumNewTokens: 24)
            }, workspace: workspace)
        let head = model.decoder.head
        let vocabulary = head.columns
        let hidden = FloatBuffer(count: rows.count * model.decoder.hiddenWidth)
        let logits = FloatBuffer(count: rows.count * vocabulary)
        model.decoder.step(
            rows, tokens: rows.map { _ in head.startID }, into: hidden, workspace: workspace)
        head.logits(
            hidden.rows(width: model.decoder.hiddenWidth), into: logits.rows(width: vocabulary),
            workspace: workspace)
        for (index, expected) in cases.enumerated() {
            let own = logits.withFloats { Array($0[index * vocabulary..<(index + 1) * vocabulary]) }
            let best = own.indices.sorted { own[$0] > own[$1] }
                .prefix(expected.firstStepTopIds.count)
            #expect(Array(best) == expected.firstStepTopIds)
            #expect(agrees(best.map { own[$0] }, expected.firstStepTopLogits))
        }
    }

    @Test(arguments: all, [false, true])
    func greedy(name: String, inOneBatch: Bool) throws {
        let model = try GoldenModel(name)
        let cases = try Golden.load(name).cases
        let options = DecodingOptions(maximumNewTokens: 24)
        let states = model.encode(cases.map(\.inputIds))
        let responses =
            inOneBatch
            ? model.write(states, options: options)
            : cases.flatMap { model.write(model.encode([$0.inputIds]), options: options) }
        #expect(responses.map { $0?.tokens } == cases.map(\.greedyIds))
    }

    @Test(arguments: plain + Fixtures.rotary.filter { $0.hasPrefix("hybrid") }, [false, true])
    func fourBeams(name: String, inOneBatch: Bool) throws {
        let model = try GoldenModel(name)
        let cases = try Golden.load(name).cases
        let options = DecodingOptions(maximumNewTokens: 24, beams: 4)
        let states = model.encode(cases.map(\.inputIds))
        let responses =
            inOneBatch
            ? model.write(states, options: options)
            : cases.flatMap { model.write(model.encode([$0.inputIds]), options: options) }
        #expect(responses.map { $0?.tokens } == cases.map(\.beam4Ids))
        #expect(agrees(responses.map { $0?.score ?? .nan }, cases.map { $0.beam4Score ?? 0 }))
    }

    /// The settings of the BART that was trained on CNN/DailyMail. Its minimum length counts the
    /// start token.
    @Test func settingsOfASummarizer() throws {
        let model = try GoldenModel("bart")
        let cases = try Golden.load("bart").cases
        let options = DecodingOptions(
            maximumNewTokens: 24, minimumNewTokens: 11, beams: 4, lengthPenalty: 2,
            earlyStopping: .yes, noRepeatNgram: 3)
        let responses = model.write(model.encode(cases.map(\.inputIds)), options: options)
        #expect(responses.map { $0?.tokens } == cases.map(\.extraIds))
    }

    /// Outputs have the same bits, not only the same tokens, whatever else is in the batch.
    @Test(arguments: all, WeightFormat.allCases)
    func batchMatesChangeNothing(name: String, format: WeightFormat) throws {
        let model = try GoldenModel(name, format: format)
        let prompts = try Golden.load(name).cases.map(\.inputIds)
        let together = model.encode(prompts)
        for (prompt, states) in zip(prompts, together) {
            let alone = model.encode([prompt])[0]
            let same = states.withFloats { left in alone.withFloats { left.elementsEqual($0) } }
            #expect(same)
        }
        let options = DecodingOptions(maximumNewTokens: 8, beams: 2)
        let scores = model.write(together, options: options).map { $0?.score }
        #expect(
            scores == together.flatMap { model.write([$0], options: options).map { $0?.score } })
    }

    /// An id from a configuration is looked up in the embedding: it must not reach a trap.
    @Test(arguments: ["t5-v1.0/llm", "hybrid-gpt2-add/slm"])
    func aStartOutsideTheVocabularyIsRefused(fixture: String) throws {
        let copy = try ScratchFolder()
        try copy.copy(fixture: "golden/" + fixture)
        let folder = copy.path + "/" + (fixture.split(separator: "/").last ?? "")
        let file = URL(filePath: folder + "/config.json")
        var fields =
            try JSONSerialization.jsonObject(with: Data(contentsOf: file)) as? [String: Any] ?? [:]
        fields["decoder_start_token_id"] = 1_500
        fields["bos_token_id"] = 1_500
        try JSONSerialization.data(withJSONObject: fields).write(to: file)
        let model = try ModelFolder(path: folder)
        #expect {
            try Decoders.own(model)
        } throws: {
            "\($0)".contains("an id below 1500")
        }
    }
}
