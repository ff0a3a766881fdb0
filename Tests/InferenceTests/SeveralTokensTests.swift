import TestSupport
import Testing

@testable import Inference

/// A row that takes several tokens in one pass has the bits of a row that takes them one by one.
@Suite struct SeveralTokensTests {
    @Test(arguments: GoldenTests.all, WeightFormat.allCases)
    func oneByOneAndTogether(name: String, format: WeightFormat) throws {
        let model = try GoldenModel(name, format: format)
        let cases = try Golden.load(name).cases.filter { $0.greedyIds.count > 3 }
        #expect(!cases.isEmpty)
        for golden in cases {
            let written = golden.greedyIds.dropLast()
            let inputs = [model.decoder.head.startID] + written
            let row = model.open(golden.inputIds)
            let steps = inputs.map { model.hidden([row], [$0]) }
            let together = model.open(golden.inputIds)
            #expect(model.hidden(inputs.map { _ in together }, inputs) == Array(steps.joined()))
        }
    }

    /// Tokens that were taken back leave no trace.
    @Test(arguments: GoldenTests.all, WeightFormat.allCases)
    func rewinding(name: String, format: WeightFormat) throws {
        let model = try GoldenModel(name, format: format)
        let golden = try #require(Golden.load(name).cases.first { $0.greedyIds.count > 3 })
        let inputs = [model.decoder.head.startID] + golden.greedyIds.prefix(3)
        let straight = model.open(golden.inputIds)
        let expected = inputs.map { model.hidden([straight], [$0]) }
        let row = model.open(golden.inputIds)
        _ = model.hidden([row, row], Array(inputs.prefix(2)))
        _ = model.hidden([row, row, row], [7, 8, 9])
        row.rewind(by: 3)
        #expect(model.hidden([row], [inputs[2]]) == expected[2])
        #expect(model.hidden([row], [inputs[3]]) == expected[3])
    }
}

extension GoldenModel {
    fileprivate func open(_ prompt: [Int32]) -> DecoderRow {
        decoder.open(
            [OpenedPrompt(states: encode([prompt])[0], maximumNewTokens: 32)],
            workspace: Workspace())[0]
    }

    fileprivate func hidden(_ rows: [DecoderRow], _ tokens: [Int32]) -> [Float] {
        let hidden = FloatBuffer(count: rows.count * decoder.hiddenWidth)
        decoder.step(rows, tokens: tokens, into: hidden, workspace: Workspace())
        return hidden.withFloats { Array($0) }
    }
}
