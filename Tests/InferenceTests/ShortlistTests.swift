import TestSupport
import Testing

@testable import Inference

@Suite struct ShortlistTests {
    /// A shortlist of all tokens that the full head wrote gives the same outputs.
    @Test(
        arguments: Fixtures.goldens + Fixtures.rotary + GoldenTests.classic, WeightFormat.allCases)
    func aListOfWhatIsWrittenWritesTheSame(name: String, format: WeightFormat) throws {
        let model = try GoldenModel(name, format: format)
        let states = model.encode(try Golden.load(name).cases.map(\.inputIds))
        let options = DecodingOptions(maximumNewTokens: 24)
        let full = model.write(states, options: options)
        let written = Set(full.compactMap(\.self).flatMap(\.tokens))
        let head = model.decoder.head.restricted(to: written)
        #expect(head.columns == written.union(model.decoder.head.endIDs).count)
        #expect(model.write(states, options: options, head: head) == full)
    }

    /// Logits have the same bits in fewer columns.
    @Test(arguments: WeightFormat.allCases)
    func logitsAreThoseOfTheFullHead(format: WeightFormat) throws {
        let full = try GoldenModel("t5-v1.1", format: format).decoder.head
        let short = full.restricted(to: stride(from: 2, to: 1_500, by: 7))
        let workspace = Workspace()
        var random = SeededRandom(seed: 5)
        let hidden = FloatBuffer((0..<3 * 48).map { _ in Float.random(in: -2...2, using: &random) })
        func logits(_ head: OutputHead) -> [[Float]] {
            let logits = FloatBuffer(count: 3 * head.columns)
            head.logits(
                hidden.rows(width: 48), into: logits.rows(width: head.columns),
                workspace: workspace)
            return (0..<3).map { row in
                logits.withFloats { Array($0[row * head.columns..<(row + 1) * head.columns]) }
            }
        }
        for (few, all) in zip(logits(short), logits(full)) {
            #expect(few == (0..<short.columns).map { all[Int(short.token($0))] })
        }
    }

    @Test(arguments: [1, 4], [nil, Sampling(seed: 1)])
    func nothingElseIsWritten(beams: Int, sampling: Sampling?) throws {
        let model = try GoldenModel("t5-v1.0")
        let states = model.encode(try Golden.load("t5-v1.0").cases.map(\.inputIds))
        let list: Set<Int32> = [1, 4, 90, 1_499]
        let options = DecodingOptions(
            maximumNewTokens: 24, beams: beams, sampling: beams == 1 ? sampling : nil)
        let head = model.decoder.head.restricted(to: list)
        for response in model.write(states, options: options, head: head) {
            #expect(Set(try #require(response).tokens).isSubset(of: list))
        }
    }

    /// There are three tokens, each of which may occur once, and no end token before the tenth.
    @Test(arguments: [1, 4], [nil, Sampling(seed: 1)])
    func aResponseEndsWhereNothingMayFollow(beams: Int, sampling: Sampling?) throws {
        let model = try GoldenModel("t5-v1.0")
        let states = model.encode([[5, 6, 1]])
        let options = DecodingOptions(
            maximumNewTokens: 24, minimumNewTokens: 10, beams: beams, noRepeatNgram: 1,
            sampling: beams == 1 ? sampling : nil)
        let response = model.write(
            states, options: options, head: model.decoder.head.restricted(to: [7, 8, 9]))
        #expect(response[0]?.tokens.sorted() == [7, 8, 9])
    }
}
