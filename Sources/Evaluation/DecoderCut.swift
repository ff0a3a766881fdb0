package import Checkpoints
internal import Foundation

/// A T5 with only some of its decoder's layers: a common alternative to a small decoder behind a
/// large encoder (To Asymmetry and Beyond, arXiv 2304.02721, here without further training).
package enum DecoderCut {
    /// The layers to keep: the first, the last, and others evenly between them.
    static func layers(keeping count: Int, of all: Int) -> [Int] {
        guard count > 1 else { return [0] }
        return (0..<count).map { ($0 * (all - 1) + (count - 1) / 2) / (count - 1) }
    }

    /// Writes `output`, a model folder like `model` with only `count` decoder layers.
    ///
    /// - Throws: `CheckpointError`.
    package static func make(_ model: ModelFolder, keeping count: Int, at output: String) throws {
        guard case .t5(let configuration) = model.configuration, !model.isPacked,
            count > 0, count < configuration.decoderLayers
        else {
            throw CheckpointError(
                path: model.path,
                problem: .malformed(
                    "expected an unpacked T5 of more than \(count) decoder layers to cut"))
        }
        let kept = layers(keeping: count, of: configuration.decoderLayers)
        let prefixes = try T5Layout(configuration, in: model.weights).decoder.blocks.map(\.prefix)
        let tensors = try model.weights.names.compactMap { name -> TensorBytes? in
            let tensor = try model.weights.bytes(of: name)
            guard let layer = prefixes.firstIndex(where: name.hasPrefix) else { return tensor }
            guard let place = kept.firstIndex(of: layer) else { return nil }
            return TensorBytes(
                name: prefixes[place] + name.dropFirst(prefixes[layer].count),
                format: tensor.format, shape: tensor.shape, bytes: tensor.bytes,
                owner: tensor.owner)
        }
        let file = URL(filePath: model.path + "/config.json")
        var fields =
            try JSONSerialization.jsonObject(with: Data(contentsOf: file)) as? [String: Any] ?? [:]
        fields["num_decoder_layers"] = count
        let text = try JSONSerialization.data(withJSONObject: fields, options: [.sortedKeys])
        try NewFolder.make(at: output) { folder in
            try SafetensorsWriter.write(
                tensors, metadata: ["format": "pt"], to: folder + "/model.safetensors")
            try text.write(to: URL(filePath: folder + "/config.json"))
            for name in ModelFolder.tokenizerFiles + [SoftPrompt.fileName] {
                try NewFolder.copy(name, from: model.path, to: folder)
            }
        }
    }
}
