/// A small model made of layers of a large one. Its folder has no configuration of its own; the
/// large model's applies. The folder holds either the weights of these layers or only an adapter to
/// them. An adapter is merged into the large model's weights, and the final norm, the embedding and
/// the head are then the large model's, too.
struct LayerCut {
    let configuration: ModelConfiguration
    let weights: WeightFile
    /// Merged into `weights`. Nil where they are stored whole.
    let adapter: LoRAAdapter?

    /// - Returns: nil for a folder of another kind.
    /// - Throws: `CheckpointError`, also where the large model is missing or does not fit.
    init?(path: String) throws {
        guard SLMManifest.exists(in: path),
            !FileMapping.exists(path + "/" + ModelFolder.configurationFile),
            try GGUFFile.find(at: path) == nil
        else { return nil }
        let manifest = try SLMManifest(folder: path)
        guard manifest.fusion == .layers else { return nil }
        // The large model must have a configuration of its own: a chain of cuts could be endless.
        try ModelFolder.expectModel(at: manifest.locatedLLM)
        let llm = try ModelFolder.open(manifest.locatedLLM)
        guard case .rotary(let large) = llm.configuration,
            let cut = large.keeping(manifest.layers)
        else {
            let expected: String
            if case .rotary(let large) = llm.configuration {
                expected = "layers below \(large.layers.count), which is how many it has"
            } else {
                expected = "layers of a decoder-only model with rotary positions"
            }
            throw CheckpointError(
                path: path + "/" + SLMManifest.fileName,
                problem: .field(
                    name: "layers", expected: "\(expected) (\(llm.weights.path))",
                    found: "\(manifest.layers) of \(llm.configuration.name)"))
        }
        configuration = .rotary(cut)
        guard LoRAAdapter.exists(in: path) else {
            (weights, adapter) = (try ModelFolder.openWeights(in: path), nil)
            return
        }
        let own = try LoRAAdapter(path: path)
        try Self.check(path, own, manifest, llm.weights)
        weights = try own.apply(to: llm.weights).keeping(layers: manifest.layers)
        adapter = own
    }

    private static func check(
        _ path: String, _ adapter: LoRAAdapter, _ manifest: SLMManifest, _ llm: WeightFile
    ) throws {
        if let whole = ModelFolder.ownWeights.first(where: { FileMapping.exists(path + "/" + $0) })
        {
            throw CheckpointError(
                path: path,
                problem: .malformed(
                    "expected layers stored whole or as an adapter to the large model, found both "
                        + "\(whole) and \(LoRAAdapter.weightsFile); move one of them out of the folder"
                ))
        }
        guard !ModelFolder.isPacked(llm) else {
            throw CheckpointError(
                path: path,
                problem: .malformed(
                    "expected the large model as it was trained, to merge "
                        + "\(LoRAAdapter.weightsFile) into its layers, found packed weights in "
                        + "\(llm.path); convert this folder, too, beside the original, and put the "
                        + "result here"))
        }
        try expectLayers(adapter, manifest)
    }

    /// Checks that the adapter changes every layer that the manifest lists, and nothing else.
    private static func expectLayers(_ adapter: LoRAAdapter, _ manifest: SLMManifest) throws {
        var changed: Set<Int> = []
        for name in adapter.deltas.keys.sorted() {
            guard let layer = WeightFile.layer(of: name), manifest.layers.contains(layer) else {
                throw CheckpointError(
                    path: adapter.path + "/" + LoRAAdapter.weightsFile,
                    problem: .malformedTensor(
                        name: name,
                        "expected changes to the layers \(manifest.layers) alone, which the "
                            + "\(SLMManifest.fileName) beside it lists; all else is the large "
                            + "model's own"))
            }
            changed.insert(layer)
        }
        guard let missing = manifest.layers.first(where: { !changed.contains($0) }) else { return }
        throw CheckpointError(
            path: adapter.path + "/" + LoRAAdapter.weightsFile,
            problem: .malformed(
                "expected changes to each of the layers \(manifest.layers), which the "
                    + "\(SLMManifest.fileName) beside it lists, found none to layer \(missing); save "
                    + "the whole adapter, or correct the list"))
    }
}

extension RotaryConfiguration {
    /// The same model with some of its layers; nil where it does not have them.
    func keeping(_ indices: [Int]) -> RotaryConfiguration? {
        guard !indices.isEmpty, indices.allSatisfy(layers.indices.contains) else { return nil }
        var cut = self
        cut.layers = indices.map { layers[$0] }
        return cut
    }
}

extension WeightFile {
    /// The number of the layer that a tensor belongs to, in a decoder-only model with rotary
    /// positions; nil for what belongs to no layer.
    fileprivate static func layer(of name: String) -> Int? {
        guard name.hasPrefix(RotaryNames.layers) else { return nil }
        return Int(name.dropFirst(RotaryNames.layers.count).prefix { $0 != "." })
    }

    /// Some layers alone, numbered from 0 in the order given.
    fileprivate func keeping(layers: [Int]) -> WeightFile {
        var kept: [String: Place] = [:]
        for (name, place) in places {
            guard let layer = Self.layer(of: name), let index = layers.firstIndex(of: layer) else {
                continue
            }
            let rest = name.dropFirst(RotaryNames.layers.count).drop { $0 != "." }
            kept["\(RotaryNames.layers)\(index)\(rest)"] = place
        }
        var cut = self
        cut.places = kept
        return cut
    }
}
