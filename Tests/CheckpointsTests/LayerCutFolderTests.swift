import Foundation
import TestSupport
import Testing

@testable import Checkpoints

/// Folders of cuts that are stored as an adapter to the large model, and what is wrong with some.
@Suite struct LayerCutFolderTests {
    private func refusal(_ cut: CutFolder) -> String {
        do {
            _ = try ModelFolder(path: cut.slm)
            return "none"
        } catch {
            return "\(error)"
        }
    }

    @Test(arguments: CutFolder.Large.allCases)
    func itHasTheLayersAloneNumberedFromZero(large: CutFolder.Large) throws {
        let cut = try CutFolder(large)
        let folder = try ModelFolder(path: cut.slm)
        guard case .rotary(let configuration) = folder.configuration else {
            Issue.record("expected a decoder-only model")
            return
        }
        #expect(configuration.layers.count == 2)
        let layers = folder.weights.names.map { $0.split(separator: ".").prefix(3) }
        #expect(Set(layers) == [["model", "layers", "0"], ["model", "layers", "1"]])
        // Norms are not changed.
        let llm = try ModelFolder(path: cut.llm)
        let norm = "input_layernorm.weight"
        #expect(
            try folder.weights.tensor("model.layers.1.\(norm)").floats
                == llm.weights.tensor("model.layers.2.\(norm)").floats)
        #expect(folder.adapter?.rank == 2)
    }

    @Test func theFingerprintIsOfLargeModelAndAdapter() throws {
        let cut = try CutFolder(.folder)
        var seen = [try ModelFolder(path: cut.slm).weights.fingerprint]
        try cut.writeAdapter(
            [0, 2].map { ("layers.\($0).mlp.up_proj", 48, 32) }, rank: 2, alpha: 3)
        seen.append(try ModelFolder(path: cut.slm).weights.fingerprint)
        try cut.writeAdapter(
            [0, 2].map { ("layers.\($0).mlp.up_proj", 48, 32) }, rank: 2, alpha: 4)
        seen.append(try ModelFolder(path: cut.slm).weights.fingerprint)
        let other = try CutFolder(.folder)
        let weights = other.llm + "/model.safetensors"
        var bytes = try Data(contentsOf: URL(filePath: weights))
        let names = try WeightFile(path: weights)
        let place = try #require(names.places["model.layers.2.mlp.up_proj.weight"]?.entry.bytes)
        bytes[place.lowerBound + 2] ^= 1
        try bytes.write(to: URL(filePath: weights))
        seen.append(try ModelFolder(path: other.slm).weights.fingerprint)
        #expect(Set(seen).count == seen.count)
    }

    @Test func layersThatAreMissingAreNamed() throws {
        let beyond = try refusal(CutFolder(.folder, listed: [0, 3], adapted: [0, 3]))
        #expect(beyond.contains("l2s.json") && beyond.contains("layers below 3"), "\(beyond)")
        let unlisted = try refusal(CutFolder(.gguf, adapted: [0, 1, 2]))
        #expect(
            unlisted.contains("layers.1.") && unlisted.contains("the layers [0, 2] alone"),
            "\(unlisted)")
        let unchanged = try refusal(CutFolder(.gguf, adapted: [0]))
        #expect(unchanged.contains("found none to layer 2"), "\(unchanged)")
        let cut = try CutFolder(.folder)
        try cut.writeAdapter([("embed_tokens", 260, 32)])
        let embedding = refusal(cut)
        #expect(embedding.contains("model.embed_tokens.weight"), "\(embedding)")
    }

    @Test func matricesOfOtherShapesAreNamed() throws {
        let cut = try CutFolder(.folder)
        try cut.writeAdapter([
            ("layers.0.self_attn.q_proj", 48, 32), ("layers.2.self_attn.q_proj", 47, 32),
        ])
        let words = refusal(cut)
        #expect(words.contains("layers.2.self_attn.q_proj"), "\(words)")
        #expect(words.contains("[48, 32]") && words.contains("[47, 32]"), "\(words)")
    }

    @Test func whatFitsInTwoWaysIsRefused() throws {
        let cut = try CutFolder(.folder)
        #expect {
            try ModelFolder(path: cut.slm, adapter: cut.slm)
        } throws: {
            "\($0)".contains("found layers of a large one")
        }
        try cut.scratch.write("slm/model.safetensors", [])
        let words = refusal(cut)
        #expect(words.contains("found both model.safetensors and adapter_model"), "\(words)")
    }

    @Test func aLargeModelThatCannotBeMergedIntoIsRefused() throws {
        let packed = try CutFolder(.folder)
        try FileManager.default.moveItem(
            atPath: packed.llm + "/model.safetensors", toPath: packed.llm + "/packed.safetensors")
        #expect(refusal(packed).contains("found packed weights"))
        let lost = try CutFolder(.gguf)
        try FileManager.default.removeItem(atPath: lost.llm)
        #expect(refusal(lost).contains("no such folder"))
        // A folder may not name itself as its large model, which would have no end.
        let circle = try CutFolder(.folder)
        try circle.scratch.write(
            "slm/l2s.json",
            #"{"format": 2, "llm": ".", "fusion": "layers", "layers": [0, 2]}"#.utf8)
        #expect(refusal(circle).contains("config.json"))
    }
}
