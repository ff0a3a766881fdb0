/// Learned vectors that a model reads before the tokens of every prompt: prompt tuning (Lester et
/// al. 2021, arXiv 2104.08691). A file beside the weights of a model that reads by itself.
package enum SoftPrompt {
    package static let fileName = "soft_prompt.safetensors"
    /// [vectors, width], and all that the file holds.
    package static let tensorName = "soft_prompt.weight"

    /// Whether the model of a folder reads one.
    package static func exists(in folder: String) -> Bool {
        FileMapping.exists(folder + "/" + fileName)
    }

    /// Nil where the folder has none.
    ///
    /// - Parameter width: of the model's token vectors.
    /// - Throws: `CheckpointError` for a file that is damaged, or made for another width.
    package static func stored(in folder: String, width: Int) throws -> StoredTensor? {
        guard exists(in: folder) else { return nil }
        return try WeightFile(path: folder + "/" + fileName)
            .tensor(tensorName, shape: [nil, width])
    }
}
