/// model.safetensors.index.json or pytorch_model.bin.index.json: which shard holds which tensor.
struct ShardIndex {
    let path: String
    private let folder: String
    let fileOfTensor: [String: String]
    /// Whether the shards are files of torch.save.
    let isPyTorch: Bool

    static let mostShards = 1_000

    init(folder: String, name: String) throws {
        path = folder + "/" + name
        self.folder = folder
        isPyTorch = !name.contains("safetensors")
        let fields = try JSONFields(path: path)
        fileOfTensor = try fields.textByName("weight_map")
        let files = Set(fileOfTensor.values)
        guard files.count <= Self.mostShards else {
            throw fields.refuse(
                "weight_map", "at most \(Self.mostShards) files", "\(files.count) files")
        }
        // The index must not lead out of its folder.
        for file in files where file.isEmpty || file.contains("/") || file.utf8.contains(0) {
            throw fields.refuse("weight_map", "names of files in this folder", quoted(file))
        }
    }

    /// Files and tensors in the order of their names, so that the same damage always gives the same
    /// error.
    var tensorsOfFile: [(file: String, tensors: [String])] {
        Dictionary(grouping: fileOfTensor.keys.sorted()) { fileOfTensor[$0] ?? "" }
            .sorted { $0.key < $1.key }
            .map { (file: $0.key, tensors: $0.value) }
    }

    func open(_ shard: String) throws -> FileMapping {
        let file = folder + "/" + shard
        guard FileMapping.exists(file) else {
            throw CheckpointError(path: path, problem: .missingShard(file: shard))
        }
        return try FileMapping(path: file)
    }
}
