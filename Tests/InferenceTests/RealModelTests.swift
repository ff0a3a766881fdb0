import Checkpoints
import Foundation
import TestSupport
import Testing

@testable import Inference

/// The default LLM as it is published, where `l2s fetch` has put it, compared with what
/// transformers makes of the same file. See Tests/Fixtures/smollm2/generate.py, and `make
/// test-models`.
@Suite(.enabled(if: RealModel.isThere, "l2s fetch has not fetched the default LLM"))
struct RealModelTests {
    @Test func writesWhatTransformersWrites() throws {
        let reference = try RealModel.reference()
        let model = try RealModel(.float32)
        let states = model.encoder.encode(
            reference.greedy.map { ($0.prompt, .identity) }, workspace: Workspace())
        let replica = DecoderReplica(model: model.decoder)
        replica.admit(
            zip(states, reference.greedy).enumerated().map { index, pair in
                .init(
                    id: index, states: pair.0,
                    options: DecodingOptions(maximumNewTokens: pair.1.written.count), head: nil)
            })
        var written = 0
        while replica.count > 0 {
            for (id, response) in replica.step() {
                let expected = reference.greedy[id]
                #expect(
                    response.tokens.prefix(expected.sure) == expected.written.prefix(expected.sure),
                    "prompt \(id)")
                written += 1
            }
        }
        #expect(written == reference.greedy.count)
    }

    /// The perplexity of real texts is that of transformers in float32, and close to it in fewer
    /// bits.
    @Test(arguments: [
        (WeightFormat.float32, 1e-3), (.bfloat16, 3e-3), (.int8, 1e-2), (.int4, 2e-2),
    ])
    func perplexityIsThatOfTransformers(format: WeightFormat, tolerance: Double) throws {
        let reference = try RealModel.reference()
        let model = try RealModel(format)
        let workspace = Workspace()
        var (sum, count) = (0.0, 0)
        for first in stride(from: 0, to: reference.texts.count, by: 16) {
            let texts = reference.texts[first..<min(first + 16, reference.texts.count)]
            let states = model.encoder.encode(
                texts.map { ($0, .states()) }, workspace: workspace)
            for (text, states) in zip(texts, states) {
                sum += model.loss(of: text, states: states, workspace: workspace)
                count += text.count - 1
            }
        }
        let loss = sum / Double(count)
        print("\(format): perplexity \(exp(loss)), transformers \(exp(reference.loss))")
        #expect(abs(exp(loss - reference.loss) - 1) < tolerance)
    }
}

/// The default LLM, opened as a worker opens it.
private struct RealModel {
    let encoder: Encoder
    let decoder: any DecoderModel

    private static let path = ModelCache.locate(ModelCache.defaultModel, in: "/nowhere")

    static var isThere: Bool { FileManager.default.fileExists(atPath: path) }

    struct Reference: Decodable {
        struct Greedy: Decodable {
            let prompt: [Int32]
            let written: [Int32]
            /// How many tokens come first that no processor's rounding changes.
            let sure: Int
        }

        let greedy: [Greedy]
        let texts: [[Int32]]
        /// The mean over all tokens but the first of each text.
        let loss: Double
    }

    static func reference() throws -> Reference {
        try JSONDecoder().decode(
            Reference.self,
            from: Data(contentsOf: URL(filePath: Fixtures.path("smollm2/reference.json"))))
    }

    init(_ format: WeightFormat) throws {
        let folder = try ModelFolder(path: Self.path)
        let pool = WeightPool()
        encoder = try Encoder(folder, format: format, pool: pool)
        decoder = try Decoders.own(folder, format: format, pool: pool)
    }

    /// The sum over all tokens but the first.
    func loss(of text: [Int32], states: PromptStates, workspace: Workspace) -> Double {
        workspace.scope {
            let columns = decoder.head.columns
            let logits = workspace.rows(text.count - 1, columns)
            decoder.head.logits(
                states.rows.rows(0..<text.count - 1), into: logits, workspace: workspace)
            return (0..<logits.count).reduce(0.0) { sum, row in
                let own = UnsafeBufferPointer(start: logits[row], count: columns)
                let top = own.max() ?? 0
                let total = own.reduce(0.0) { $0 + Double(exp($1 - top)) }
                return sum + log(total) + Double(top) - Double(own[Int(text[row + 1])])
            }
        }
    }
}
