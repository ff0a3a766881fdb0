/// The tensors of a pytorch_model.bin: the zip archive that torch.save has written since 1.6, or
/// the pickles one after the other of earlier versions. The file is mapped, and no code in it is
/// ever run.
struct PyTorchFile {
    let entries: [String: SafetensorsHeader.Entry]

    private static let magic: [UInt8] = [
        0x6C, 0xFC, 0x9C, 0x46, 0xF9, 0x20, 0x6A, 0xA8, 0x50, 0x19,
    ]
    private static let legacyVersion = 1_001

    init(of file: FileMapping) throws {
        let storages: [String: Range<Int>]
        let root: PickleValue
        if file.bytes.starts(with: ZipDirectory.signature) {
            (root, storages) = try Self.archive(file)
        } else {
            (root, storages) = try Self.legacy(file)
        }
        guard case .dictionary(let dictionary) = root else {
            throw CheckpointError(
                path: file.path,
                problem: .malformed(
                    "expected a state dict, a dictionary of tensors, found \(root.words)"))
        }
        var entries: [String: SafetensorsHeader.Entry] = [:]
        for (key, value) in dictionary.items {
            guard case .text(let name) = key else {
                throw CheckpointError(
                    path: file.path,
                    problem: .malformed("expected names of tensors, found \(key.words)"))
            }
            entries[name] = try Self.entry(value, name: name, in: storages, path: file.path)
        }
        self.entries = entries
    }

    private static func entry(
        _ value: PickleValue, name: String, in storages: [String: Range<Int>], path: String
    ) throws -> SafetensorsHeader.Entry {
        func fail(_ reason: String) -> CheckpointError {
            CheckpointError(path: path, problem: .malformedTensor(name: name, reason))
        }
        guard case .tensor(let tensor) = value else {
            throw fail("expected a tensor, found \(value.words)")
        }
        guard tensor.isContiguous else {
            throw fail(
                "expected its elements row by row, found strides \(tensor.strides) for "
                    + "\(tensor.shape); save the model again with contiguous tensors")
        }
        guard let storage = storages[tensor.storage.key] else {
            throw fail("expected the storage \(quoted(tensor.storage.key)), found none")
        }
        let size = tensor.storage.elementBytes
        let room = storage.count / size
        guard let count = tensor.count, tensor.storage.count <= room, tensor.offset <= room,
            count <= room - tensor.offset
        else {
            throw fail(
                "expected \(tensor.shape) from element \(tensor.offset) on within its storage of "
                    + "\(room) elements")
        }
        let start = storage.lowerBound + tensor.offset * size
        return .init(
            format: tensor.storage.format, shape: tensor.shape, bytes: start..<start + count * size)
    }

    private static func archive(
        _ file: FileMapping
    ) throws -> (PickleValue, [String: Range<Int>]) {
        let files = try ZipDirectory(file).files
        let ending = "/data.pkl"
        guard let name = files.keys.filter({ $0.hasSuffix(ending) }).min(),
            let range = files[name]
        else {
            throw CheckpointError(
                path: file.path,
                problem: .malformed(
                    "expected a file data.pkl in the archive, as torch.save writes it, found none"))
        }
        let folder = name.dropLast(ending.count)
        if let order = files["\(folder)/byteorder"], file.text(in: order) == "big" {
            throw CheckpointError(
                path: file.path,
                problem: .malformed(
                    "expected numbers with the lowest byte first, found the highest first; save "
                        + "the model again on a little-endian machine"))
        }
        var cursor = FileCursor(file, at: range.lowerBound)
        let root = try PickleMachine.read(&cursor)
        let prefix = "\(folder)/data/"
        var storages: [String: Range<Int>] = [:]
        for (name, range) in files where name.hasPrefix(prefix) {
            storages[String(name.dropFirst(prefix.count))] = range
        }
        return (root, storages)
    }

    /// Reads a file of the versions before 1.6: magic number, version, a description of the
    /// machine, the state dict, the keys of the storages, then the storages, each after its number
    /// of elements.
    private static func legacy(
        _ file: FileMapping
    ) throws -> (PickleValue, [String: Range<Int>]) {
        // The pickled magic number: protocol 2, a number of ten bytes, end.
        let start: [UInt8] = [0x80, 2, 0x8A, 10] + magic + [UInt8(ascii: ".")]
        guard file.bytes.starts(with: start) else {
            throw CheckpointError(
                path: file.path,
                problem: .malformed(
                    "expected a file of torch.save, found other data; if it is one of PyTorch "
                        + "before 0.4, save the model again"))
        }
        var cursor = FileCursor(file, at: start.count)
        let version = try PickleMachine.read(&cursor)
        guard case .whole(legacyVersion) = version else {
            throw cursor.fail(
                "expected version \(legacyVersion) of the format, got \(version.words)")
        }
        let machine = try PickleMachine.read(&cursor)
        if case .dictionary(let facts) = machine {
            for case (.text("little_endian"), .flag(false)) in facts.items {
                throw cursor.fail("expected numbers with the lowest byte first, found the highest")
            }
        }
        let root = try PickleMachine.read(&cursor)
        guard case .list(let keys) = try PickleMachine.read(&cursor) else {
            throw cursor.fail("expected the list of storages, found another value")
        }
        let sizes = storageSizes(root)
        var storages: [String: Range<Int>] = [:]
        for case .text(let key) in keys.items {
            let found = try cursor.number(UInt64.self)
            guard let size = sizes[key], let count = Int(exactly: found),
                count <= cursor.remaining / size
            else {
                throw cursor.fail(
                    "expected the storage \(quoted(key)) of a tensor within the file, got one of "
                        + "\(found) elements; the file is cut off or damaged, download it again")
            }
            let start = cursor.position
            try cursor.skip(count * size)
            storages[key] = start..<cursor.position
        }
        return (root, storages)
    }

    /// Bytes of an element, by storage.
    private static func storageSizes(_ root: PickleValue) -> [String: Int] {
        guard case .dictionary(let dictionary) = root else { return [:] }
        var sizes: [String: Int] = [:]
        for case (_, .tensor(let tensor)) in dictionary.items {
            sizes[tensor.storage.key] = tensor.storage.elementBytes
        }
        return sizes
    }
}
