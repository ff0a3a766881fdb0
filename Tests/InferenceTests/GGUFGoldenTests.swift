import Checkpoints
import Foundation
import TestSupport
import Testing

@testable import Inference

/// GGUF files compute what transformers computes with their dequantized weights.
@Suite struct GGUFGoldenTests {
    static let files = [
        "gguf-llama/llama-f16.gguf", "gguf-llama/llama-q8_0.gguf", "gguf-llama/llama-q4_0.gguf",
        "gguf-llama-k/llama-q4_k_m.gguf",
    ]

    private struct Expected: Decodable {
        let models: [String: [Golden.Case]]
    }

    private func cases(_ file: String) throws -> [Golden.Case] {
        let parts = file.split(separator: "/").map(String.init)
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        let data = try Data(
            contentsOf: URL(filePath: Fixtures.path("golden/\(parts[0])/expected.json")))
        let models = try decoder.decode(Expected.self, from: data).models
        return try #require(models[parts[1]])
    }

    @Test(arguments: files, [false, true])
    func greedy(file: String, inOneBatch: Bool) throws {
        let model = try GoldenModel(gguf: Fixtures.path("golden/" + file))
        let cases = try cases(file)
        let options = DecodingOptions(maximumNewTokens: 24)
        let responses =
            inOneBatch
            ? model.write(model.encode(cases.map(\.inputIds)), options: options)
            : cases.flatMap { model.write(model.encode([$0.inputIds]), options: options) }
        #expect(responses.map { $0?.tokens } == cases.map(\.greedyIds))
    }

    @Test(arguments: files)
    func lastStates(file: String) throws {
        let encoder = try Encoder(ModelFolder(path: Fixtures.path("golden/" + file)))
        let cases = try cases(file)
        let read = encoder.encode(
            cases.map { ($0.inputIds, [Projector.states(afterLayer: nil)]) },
            workspace: Workspace())
        for (found, expected) in zip(read.flatMap(\.self), cases) {
            found.withFloats { floats in
                let first4 = (0..<found.tokens).flatMap { row in
                    (0..<4).map { floats[row * found.width + $0] }
                }
                #expect(agrees(first4, (expected.layerFirst4?["last"] ?? []).flatMap { $0 }))
            }
        }
    }

    /// A model that was packed ahead of time gives the same bits, and its folder needs no other
    /// file.
    @Test(arguments: WeightFormat.allCases)
    func packedFilesSayTheSame(format: WeightFormat) throws {
        let scratch = try ScratchFolder()
        let file = Fixtures.path("golden/" + Self.files[2])
        let output = scratch.path + "/packed"
        let summary = try ModelConverter.convert(file, to: output, format: format)
        #expect(summary.packing.parts.contains("decoder"))
        let original = try GoldenModel(gguf: file, format: format)
        let packed = try GoldenModel(gguf: output, format: format)
        let prompts = try cases(Self.files[2]).map(\.inputIds)
        let options = DecodingOptions(maximumNewTokens: 12, beams: 2)
        let scores = [original, packed].map { model in
            model.write(model.encode(prompts), options: options).map { $0?.score }
        }
        #expect(scores[0] == scores[1])
        #expect(try ModelFolder(path: output).fingerprint == ModelFolder(path: file).fingerprint)
        let metadata = try GGUFFile(path: output + "/metadata.gguf").metadata
        #expect(try metadata.text("tokenizer.ggml.model") == "gpt2")
    }
}

extension GoldenModel {
    /// A model that reads and writes, from a GGUF file or a folder.
    fileprivate init(gguf path: String, format: WeightFormat = .float32) throws {
        let folder = try ModelFolder(path: path)
        let pool = WeightPool()
        encoder = try Encoder(folder, format: format, pool: pool)
        projector = .identity
        decoder = try Decoders.own(folder, format: format, pool: pool)
    }
}
