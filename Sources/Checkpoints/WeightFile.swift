/// All tensors of one checkpoint, from one or more mapped files of safetensors or
/// PyTorch, or a GGUF file.
package struct WeightFile: Sendable {
    /// Where a tensor lies, and what it is made of.
    struct Place: Sendable {
        var entry: SafetensorsHeader.Entry
        let file: FileMapping
        var change = StoredTensor.Change()
    }

    /// The file to name in errors: the safetensors or GGUF file, or the index of several.
    package let path: String
    var places: [String: Place]
    /// The `__metadata__` of a single file; empty for shards.
    package let metadata: [String: String]

    /// Opens one .safetensors file.
    package init(path: String) throws {
        let file = try FileMapping(path: path)
        self.path = path
        let header = try SafetensorsHeader(of: file)
        places = try header.entries(withBlocksOf: file).mapValues { Place(entry: $0, file: file) }
        metadata = header.metadata
    }

    /// Opens one file of torch.save.
    init(pytorch path: String) throws {
        let file = try FileMapping(path: path)
        self.path = path
        places = try PyTorchFile(of: file).entries.mapValues { Place(entry: $0, file: file) }
        metadata = [:]
    }

    /// The tensors of a GGUF file under the names and in the layout of Hugging Face.
    ///
    /// - Throws: `CheckpointError` for a model family that l2s does not read.
    package init(_ gguf: GGUFFile) throws {
        path = gguf.path
        places = try gguf.places
        metadata = [:]
    }

    /// Opens the shards that an index lists.
    init(index: ShardIndex) throws {
        var places: [String: Place] = [:]
        places.reserveCapacity(index.fileOfTensor.count)
        for (shard, names) in index.tensorsOfFile {
            let file = try index.open(shard)
            let entries =
                index.isPyTorch
                ? try PyTorchFile(of: file).entries : try SafetensorsHeader(of: file).entries
            for name in names {
                guard let entry = entries[name] else {
                    throw CheckpointError(
                        path: file.path,
                        problem: .missingTensor(
                            name: name, nearest: nearestNames(to: name, among: entries.keys)))
                }
                places[name] = Place(entry: entry, file: file)
            }
        }
        path = index.path
        self.places = places
        metadata = [:]
    }

    /// Sorted. Includes tensors in formats that `tensor(_:)` refuses.
    package var names: [String] { places.keys.sorted() }

    /// The bytes of all tensors.
    package var byteCount: Int { places.values.reduce(0) { $0 + $1.entry.bytes.count } }

    package func contains(_ name: String) -> Bool { places[name] != nil }

    /// - Throws: `CheckpointError` when the tensor is missing or its format cannot be read.
    package func tensor(_ name: String) throws -> StoredTensor {
        guard let place = places[name] else {
            throw CheckpointError(
                path: path,
                problem: .missingTensor(
                    name: name, nearest: nearestNames(to: name, among: places.keys)))
        }
        guard let format = NumberFormat(rawValue: place.entry.format) else {
            throw CheckpointError(
                path: place.file.path,
                problem: .unreadableFormat(name: name, found: place.entry.format))
        }
        return StoredTensor(
            name: name, shape: place.entry.shape, format: format, file: place.file,
            bytes: place.entry.bytes, change: place.change)
    }

    /// A tensor of any format, as bytes.
    ///
    /// - Throws: `CheckpointError` when the tensor is missing.
    package func bytes(of name: String) throws -> TensorBytes {
        guard let place = places[name] else {
            throw CheckpointError(
                path: path,
                problem: .missingTensor(
                    name: name, nearest: nearestNames(to: name, among: places.keys)))
        }
        return TensorBytes(
            name: name, format: place.entry.format, shape: place.entry.shape,
            bytes: UnsafeRawBufferPointer(rebasing: place.file.bytes[place.entry.bytes]),
            owner: place.file)
    }

    /// The same tensors, with an adapter's deltas added to those that have one when they are read.
    ///
    /// - Precondition: each name is that of a matrix of the delta's shape.
    func adding(_ deltas: [String: LowRankDelta]) -> WeightFile {
        var changed = self
        for (name, delta) in deltas { changed.places[name]?.change.delta = delta }
        return changed
    }

    /// The tensors of a single file, in the order in which they lie in it.
    var tensorsInOrder: [TensorBytes] {
        places.sorted { $0.value.entry.bytes.lowerBound < $1.value.entry.bytes.lowerBound }
            .compactMap { try? bytes(of: $0.key) }
    }

    /// - Parameter shape: nil stands for any size.
    /// - Throws: `CheckpointError` as above, and when the shape is another.
    package func tensor(_ name: String, shape: [Int?]) throws -> StoredTensor {
        let tensor = try tensor(name)
        guard tensor.shape.count == shape.count,
            zip(tensor.shape, shape).allSatisfy({ found, expected in
                expected == nil || expected == found
            })
        else {
            throw CheckpointError(
                path: path, problem: .wrongShape(name: name, expected: shape, found: tensor.shape))
        }
        return tensor
    }
}

/// Up to three names whose beginning and end have most in common with `name`. The names of a
/// checkpoint differ from it in a layer's number, a prefix or the last part.
func nearestNames(to name: String, among names: some Collection<String>) -> [String] {
    let wanted = Array(name.utf8)
    func likeness(_ other: String) -> Int {
        let start = zip(wanted, other.utf8).prefix { $0 == $1 }.count
        let end = zip(wanted.reversed(), other.utf8.reversed()).prefix { $0 == $1 }.count
        return start + end
    }
    return names.map { (likeness: likeness($0), name: $0) }
        .filter { $0.likeness >= 4 }
        .sorted { ($1.likeness, $0.name) < ($0.likeness, $1.name) }
        .prefix(3).map(\.name)
}
