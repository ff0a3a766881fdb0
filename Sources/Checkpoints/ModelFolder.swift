/// A Hugging Face model folder: config.json and safetensors weights, mapped.
package struct ModelFolder: Sendable {
    package let path: String
    package let configuration: ModelConfiguration
    package let weights: WeightFile

    /// Reads the configuration and the tables of contents; weights are read when they are used.
    ///
    /// - Throws: `CheckpointError`.
    package init(path: String) throws {
        guard FileMapping.exists(path) else {
            throw CheckpointError(
                path: path,
                problem: .unreadable(attempt: "open the model", reason: "no such folder"))
        }
        guard FileMapping.exists(path + "/config.json") else {
            throw CheckpointError(path: path, problem: .noneOf(files: ["config.json"]))
        }
        self.path = path
        let generation = path + "/generation_config.json"
        configuration = try ModelConfiguration(
            fields: JSONFields(path: path + "/config.json"),
            generation: FileMapping.exists(generation) ? JSONFields(path: generation) : nil)
        weights = try Self.openWeights(in: path)
    }

    /// Whether the weights were packed ahead of time: what lies in them is Inference's matter.
    package var isPacked: Bool { weights.path.hasSuffix("/" + Self.packed) }

    /// What `l2s convert` writes.
    package static let packed = "packed.safetensors"
    private static let single = "model.safetensors"
    private static let index = "model.safetensors.index.json"
    private static let foreign = [
        "pytorch_model.bin", "pytorch_model.bin.index.json", "tf_model.h5", "flax_model.msgpack",
    ]

    private static func openWeights(in folder: String) throws -> WeightFile {
        if FileMapping.exists(folder + "/" + packed) {
            // Which of them is the newer one cannot be told.
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
        if let found = foreign.first(where: { FileMapping.exists(folder + "/" + $0) }) {
            throw CheckpointError(path: folder, problem: .foreignWeights(found: found))
        }
        throw CheckpointError(path: folder, problem: .noneOf(files: [single, index]))
    }
}
