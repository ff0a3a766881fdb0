/// Learned vectors that a model reads before the tokens of every prompt: prompt tuning (Lester et
/// al. 2021, arXiv 2104.08691). They lie in a file beside the weights of a model that reads the
/// prompt itself.
package enum SoftPrompt {
    package static let fileName = "soft_prompt.safetensors"
    /// The only tensor of the file, [vectors, width].
    package static let tensorName = "soft_prompt.weight"

    /// Whether the model of a folder reads one.
    package static func exists(in folder: String) -> Bool {
        FileMapping.exists(folder + "/" + fileName)
    }

    /// The soft prompt of a folder, [vectors, width]; nil where it has none.
    ///
    /// - Parameter width: the width of the model's token vectors.
    /// - Throws: `CheckpointError` for a file that is damaged, or made for another width.
    package static func stored(in folder: String, width: Int) throws -> StoredTensor? {
        guard exists(in: folder) else { return nil }
        return try WeightFile(path: folder + "/" + fileName)
            .tensor(tensorName, shape: [nil, width])
    }
}
