import Checkpoints
import Foundation
import TestSupport
import Testing

@testable import Inference

/// A cut of a large model gives the same outputs whether it is stored as an adapter or whole.
@Suite struct LayerCutTests {
    private static let prompts: [[Int32]] = [[7, 40, 99, 3], [150, 8], (20..<45).map(Int32.init)]

    /// The layers with the adapter merged, as a checkpoint of their own in another folder.
    private func writeWhole(_ cut: CutFolder) throws -> String {
        let path = cut.scratch.path + "/whole"
        try FileManager.default.createDirectory(
            atPath: path, withIntermediateDirectories: false)
        // The adapter fits the whole model, too; LoRATests compare such a merge with that of PEFT.
        let merged = try ModelFolder(path: cut.llm, adapter: cut.slm)
        let configuration =
            try merged.gguf?.configuration
            ?? Data(contentsOf: URL(filePath: cut.llm + "/config.json"))
        var fields = try #require(
            JSONSerialization.jsonObject(with: configuration) as? [String: Any])
        fields["num_hidden_layers"] = 2
        try cut.scratch.write(
            "whole/config.json", JSONSerialization.data(withJSONObject: fields))
        try FileManager.default.copyItem(
            atPath: cut.slm + "/l2s.json", toPath: path + "/l2s.json")
        let tensors = try [(0, 0), (2, 1)].flatMap { layer, index in
            try merged.weights.names.filter { $0.hasPrefix("model.layers.\(layer).") }.map { name in
                let own = try merged.weights.tensor(name)
                var values = [Float](repeating: 0, count: own.count)
                values.withUnsafeMutableBufferPointer { own.read(into: $0) }
                let floats = NSData(data: values.withUnsafeBytes { Data($0) })
                return TensorBytes(
                    name: name.replacing("layers.\(layer).", with: "layers.\(index)."),
                    format: "F32", shape: own.shape,
                    bytes: UnsafeRawBufferPointer(start: floats.bytes, count: floats.length),
                    owner: floats)
            }
        }
        try SafetensorsWriter.write(tensors, metadata: [:], to: path + "/model.safetensors")
        return path
    }

    private func outputs(
        _ slm: String, of llm: String, _ format: WeightFormat, adapter: String? = nil
    ) throws -> [Response?] {
        let model = try GoldenModel(slm: slm, llm: llm, format: format, adapter: adapter)
        let options = DecodingOptions(maximumNewTokens: 12, beams: 2)
        return model.write(model.encode(Self.prompts), options: options)
    }

    @Test(arguments: CutFolder.Large.allCases, WeightFormat.allCases)
    func sameBitsAsStoredWhole(large: CutFolder.Large, format: WeightFormat) throws {
        let cut = try CutFolder(large)
        let whole = try outputs(writeWhole(cut), of: cut.llm, format)
        let adapted = try outputs(cut.slm, of: cut.llm, format)
        #expect(adapted.map { $0?.tokens } == whole.map { $0?.tokens })
        #expect(adapted.map { $0?.score } == whole.map { $0?.score })
        #expect(whole.allSatisfy { $0?.tokens.isEmpty == false })
    }

    /// An adapter that the large model reads with changes what the cut is given, but not the cut.
    @Test func theAdapterOfTheReadingIsNoneOfTheCut() throws {
        let cut = try CutFolder(.folder)
        let whole = try writeWhole(cut)
        let other = try CutFolder(.folder, adapted: [1])
        let adapted = try outputs(cut.slm, of: cut.llm, .float32, adapter: other.slm)
        let expected = try outputs(whole, of: cut.llm, .float32, adapter: other.slm)
        let plain = try outputs(cut.slm, of: cut.llm, .float32)
        #expect(adapted.map { $0?.score } == expected.map { $0?.score })
        #expect(adapted.map { $0?.score } != plain.map { $0?.score })
    }

    /// The result needs the large model alone, packed or not, and no adapter.
    @Test(arguments: CutFolder.Large.allCases)
    func packedItSaysTheSame(large: CutFolder.Large) throws {
        let cut = try CutFolder(large)
        let packed = (llm: cut.scratch.path + "/packed/llm", slm: cut.scratch.path + "/packed/slm")
        try FileManager.default.createDirectory(
            atPath: cut.scratch.path + "/packed", withIntermediateDirectories: false)
        _ = try ModelConverter.convert(cut.llm, to: packed.llm, format: .int8)
        let summary = try ModelConverter.convert(cut.slm, to: packed.slm, format: .int8)
        #expect(summary.packing.parts == ["decoder"])
        let expected = try outputs(cut.slm, of: cut.llm, .int8)
        let found = try outputs(packed.slm, of: packed.llm, .int8)
        #expect(found.map { $0?.score } == expected.map { $0?.score })
        #expect(
            try ModelFolder(path: packed.slm).fingerprint == ModelFolder(path: cut.slm).fingerprint)
    }
}

extension GoldenModel {
    /// - Parameter adapter: the adapter that the large model reads with; nil for none.
    fileprivate init(
        slm: String, llm: String, format: WeightFormat, adapter: String? = nil
    ) throws {
        let llm = try ModelFolder(path: llm, adapter: adapter)
        let slm = try ModelFolder(path: slm)
        let manifest = try SLMManifest(folder: slm.path)
        let pool = WeightPool()
        encoder = try Encoder(llm, format: format, depth: manifest.llmDepth, pool: pool)
        projector = try Projector(manifest, slm: slm, encoder: encoder)
        decoder = try Decoders.slm(slm, manifest: manifest, llm: llm, format: format, pool: pool)
    }
}
