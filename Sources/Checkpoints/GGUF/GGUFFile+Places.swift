extension GGUFFile {
    /// Whether the feed-forward part of a T5 has a gate.
    var isGated: Bool { tensors.keys.contains { $0.hasSuffix(".ffn_gate.weight") } }

    /// The tensors by the names that Hugging Face's models give them.
    ///
    /// - Throws: `CheckpointError` for a model family that l2s does not read, and for two tensors
    ///   that would have the same name.
    var places: [String: WeightFile.Place] {
        get throws {
            let architecture = try architecture
            let queryHeads = try metadata.whole(architecture.rawValue + ".attention.head_count")
            let keyHeads = try metadata.whole(architecture.rawValue + ".attention.head_count_kv")
            var places: [String: WeightFile.Place] = [:]
            for (name, tensor) in tensors.sorted(by: { $0.key < $1.key }) {
                var change = StoredTensor.Change()
                if name.contains("norm.") { change.offset = architecture.normOffset }
                if architecture == .llama {
                    let heads =
                        name.contains(".attn_q.")
                        ? queryHeads : name.contains(".attn_k.") ? keyHeads ?? queryHeads : nil
                    change.interleavedHeads = try heads.map {
                        try check(heads: $0, name: name, rows: tensor.shape[0])
                    }
                }
                let known = architecture.name(ofGGUF: name, isGated: isGated) ?? name
                guard places[known] == nil else {
                    throw CheckpointError(
                        path: path,
                        problem: .malformedTensor(
                            name: name, "expected one tensor for \(quoted(known)), found two"))
                }
                places[known] = WeightFile.Place(
                    entry: .init(
                        format: tensor.format.rawValue, shape: tensor.shape, bytes: tensor.bytes),
                    file: file, change: change)
            }
            return places
        }
    }

    private func check(heads: Int, name: String, rows: Int) throws -> Int {
        guard heads > 0, rows % heads == 0, rows / heads % 2 == 0 else {
            throw CheckpointError(
                path: path,
                problem: .malformedTensor(
                    name: name,
                    "expected rows for \(heads) heads of an even width, got \(rows) rows"))
        }
        return heads
    }
}
