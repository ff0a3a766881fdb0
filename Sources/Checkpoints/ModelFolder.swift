/// A model: a Hugging Face folder with config.json and weights in safetensors or PyTorch format, or
/// a GGUF file. The files are mapped.
package struct ModelFolder: Sendable {
    /// The folder, or the GGUF file.
    package let path: String
    package let configuration: ModelConfiguration
    package let generation: Generation
    package let weights: WeightFile
    /// Nil for a Hugging Face folder.
    package let gguf: GGUFFile?
    /// Merged into the weights when they are read.
    package let adapter: LoRAAdapter?

    /// Reads the configuration and the tables of contents; weights are read when they are used.
    ///
    /// - Parameters:
    ///   - path: a folder; a GGUF file, or a folder that holds one.
    ///   - adapter: the folder of an adapter that is merged into the weights. Nil for none.
    /// - Throws: `CheckpointError`.
    package init(path: String, adapter: String? = nil) throws {
        try Self.expectModel(at: path)
        self.path = path
        if let cut = try LayerCut(path: path) {
            guard adapter == nil else {
                throw CheckpointError(
                    path: path,
                    problem: .malformed(
                        "expected a model to merge an adapter into, found layers of a large one; "
                            + "the adapter belongs to that"))
            }
            (configuration, weights, gguf) = (cut.configuration, cut.weights, nil)
            generation = Generation()
            self.adapter = cut.adapter
            return
        }
        let found: WeightFile
        (configuration, generation, found, gguf) = try Self.open(path)
        self.adapter = try adapter.map(LoRAAdapter.init)
        if let adapter, Self.isPacked(found) {
            throw CheckpointError(
                path: path,
                problem: .malformed(
                    "expected a model as it was trained, to merge \(adapter) into it, found packed "
                        + "weights; convert the original with the adapter"))
        }
        weights = try self.adapter?.apply(to: found) ?? found
    }

    /// What a checkpoint says about its outputs.
    package struct Generation: Sendable {
        /// What it forces on every output.
        package var rules = GenerationRules.none
        /// How its makers search for outputs.
        package var defaults = GenerationDefaults.none
        /// What config.json suggests for single tasks. It is only shown, never applied.
        package var tasks: [Task] = []

        package struct Task: Sendable {
            package let name: String
            /// The text before a document.
            package let prefix: String?
            package let defaults: GenerationDefaults
        }
    }

    static func expectModel(at path: String) throws {
        guard !FileMapping.exists(path) else { return }
        throw CheckpointError(
            path: path,
            problem: .unreadable(
                attempt: "open the model",
                reason: (path.hasSuffix(GGUFFile.suffix) ? "no such file" : "no such folder")
                    + ModelCache.advice(path)))
    }

    /// Opens what a path holds, without an adapter.
    static func open(
        _ path: String
    ) throws -> (
        configuration: ModelConfiguration, generation: Generation, weights: WeightFile,
        gguf: GGUFFile?
    ) {
        let configuration = path + "/" + configurationFile
        if !FileMapping.exists(configuration), let file = try GGUFFile.find(at: path) {
            let gguf = try GGUFFile(path: file)
            return (
                try ModelConfiguration(gguf.configuration, path: file), Generation(),
                try WeightFile(gguf), gguf
            )
        }
        guard FileMapping.exists(configuration) else {
            throw CheckpointError(
                path: path,
                problem: .noneOf(files: [configurationFile, "one file *" + GGUFFile.suffix]))
        }
        let fields = try JSONFields(path: configuration)
        let beside = path + "/" + generationFile
        let generation = FileMapping.exists(beside) ? try JSONFields(path: beside) : nil
        return (
            try ModelConfiguration(fields: fields, generation: generation),
            Generation(
                rules: try GenerationRules(generation, configuration: fields),
                defaults: try GenerationDefaults(generation, configuration: fields),
                tasks: Generation.Task.all(fields)),
            try openWeights(in: path), nil
        )
    }

    /// Tells the model from others that are open. With an adapter, it is another model.
    package var name: String { adapter.map { "\(path) with \($0.path)" } ?? path }

    /// Whether token vectors are among the weights. Layers cut out of a model may come without
    /// them.
    package var hasTokenVectors: Bool {
        guard case .rotary = configuration else { return true }
        return weights.contains(RotaryNames.embedding)
    }

    /// Whether the weights were packed ahead of time. Inference alone knows their format.
    package var isPacked: Bool { Self.isPacked(weights) }

    static func isPacked(_ weights: WeightFile) -> Bool { weights.path.hasSuffix("/" + packed) }

    package static let configurationFile = "config.json"
    package static let generationFile = "generation_config.json"
    /// What `l2s convert` writes.
    package static let packed = "packed.safetensors"
    private static let single = "model.safetensors"
    private static let index = "model.safetensors.index.json"
    private static let pytorch = "pytorch_model.bin"
    private static let pytorchIndex = "pytorch_model.bin.index.json"
    /// Names of files each of which holds a model's weights, or lists the files that do.
    static let ownWeights = [packed, single, index, pytorch, pytorchIndex]
    private static let foreign = ["tf_model.h5", "flax_model.msgpack"]

    static func openWeights(in folder: String) throws -> WeightFile {
        if FileMapping.exists(folder + "/" + packed) {
            // Nothing says which of them is the newer one.
            if let other = [single, index].first(where: { FileMapping.exists(folder + "/" + $0) }) {
                throw CheckpointError(
                    path: folder,
                    problem: .malformed(
                        "expected packed or plain weights, found both \(packed) and \(other); "
                            + "move one of them out of the folder"))
            }
            return try WeightFile(path: folder + "/" + packed)
        }
        if FileMapping.exists(folder + "/" + single) {
            return try WeightFile(path: folder + "/" + single)
        }
        if FileMapping.exists(folder + "/" + index) {
            return try WeightFile(index: ShardIndex(folder: folder, name: index))
        }
        if FileMapping.exists(folder + "/" + pytorch) {
            return try WeightFile(pytorch: folder + "/" + pytorch)
        }
        if FileMapping.exists(folder + "/" + pytorchIndex) {
            return try WeightFile(index: ShardIndex(folder: folder, name: pytorchIndex))
        }
        if let found = foreign.first(where: { FileMapping.exists(folder + "/" + $0) }) {
            throw CheckpointError(path: folder, problem: .foreignWeights(found: found))
        }
        throw CheckpointError(
            path: folder, problem: .noneOf(files: [single, index, pytorch, pytorchIndex]))
    }
}
