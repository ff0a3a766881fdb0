/// A GGUF file, version 2 or 3: metadata, a table of contents and tensors, mapped.
/// Source: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
package struct GGUFFile: Sendable {
    package let path: String
    package let metadata: GGUFMetadata
    /// By the names that the file gives them.
    let tensors: [String: Tensor]
    let file: FileMapping
    /// Where the metadata lie in the header, after magic, version and the two counts.
    private let metadataBytes: Range<Int>

    struct Tensor: Sendable {
        let format: NumberFormat
        /// In row-major order. The file lists the dimensions the other way round.
        let shape: [Int]
        let bytes: Range<Int>
    }

    package static let suffix = ".gguf"
    private static let versions: ClosedRange<UInt32> = 2...3
    /// The bytes of magic, version and the two counts.
    private static let headerStart = 24

    /// - Throws: `CheckpointError`.
    package init(path: String) throws {
        let file = try FileMapping(path: path)
        self.path = path
        self.file = file
        var cursor = FileCursor(file)
        guard file.bytes.starts(with: "GGUF".utf8) else {
            throw cursor.fail("expected a file that begins with GGUF, found other data")
        }
        try cursor.skip(4)
        let version = try cursor.number(UInt32.self)
        guard Self.versions.contains(version) else {
            throw cursor.fail(
                Self.versions.contains(version.byteSwapped)
                    ? "expected GGUF with the lowest byte first, found version \(version.byteSwapped) "
                        + "with the highest first; convert the model again on a little-endian machine"
                    : "expected GGUF version 2 or 3, got \(version); convert the model again with "
                        + "a current llama.cpp")
        }
        // A tensor's entry takes at least a length, a number of dimensions, a type and an offset.
        let tensorCount = try cursor.count(of: "tensors", least: 24)
        // A pair takes at least a length, a type and a byte.
        let pairs = try cursor.count(of: "metadata", least: 13)
        let start = cursor.position
        metadata = try GGUFMetadata(&cursor, pairs: pairs)
        metadataBytes = start..<cursor.position
        if let parts = try metadata.whole("split.count"), parts > 1 {
            throw cursor.fail(
                "expected a whole model, found one of \(parts) parts; join them with "
                    + "`llama-gguf-split --merge`")
        }
        let alignment = try metadata.whole("general.alignment") ?? 32
        guard (1...1 << 20).contains(alignment), alignment & (alignment - 1) == 0 else {
            throw cursor.fail(
                "expected general.alignment to be a power of two up to \(1 << 20), got \(alignment)"
            )
        }
        tensors = try cursor.tensors(tensorCount, alignment: alignment)
    }

    /// The GGUF file that a path stands for: the file itself, or the only one of a folder.
    ///
    /// - Returns: nil where there is none.
    /// - Throws: `CheckpointError` where a folder has several.
    package static func find(at path: String) throws -> String? {
        if path.hasSuffix(suffix), !FileMapping.isFolder(path) {
            return FileMapping.exists(path) ? path : nil
        }
        let names = FileMapping.names(in: path).filter { $0.hasSuffix(suffix) }
        guard names.count < 2 else {
            throw CheckpointError(
                path: path,
                problem: .malformed(
                    "expected one GGUF file in the folder, found "
                        + names.sorted().prefix(4).map(quoted).joined(separator: " and ")
                        + "; name the one to use, as FOLDER/FILE.gguf"))
        }
        return names.first.map { path + "/" + $0 }
    }

    /// Writes a copy of the file without its tensors. It still holds the tokenizer.
    ///
    /// - Throws: `CheckpointError` where it cannot be written.
    package func writeMetadata(to path: String) throws {
        let target = try NewFile(path: path)
        try withExtendedLifetime(file) {
            try target.write(UnsafeRawBufferPointer(rebasing: file.bytes[..<8]))
            try withUnsafeBytes(of: UInt64(0)) { try target.write($0) }
            try target.write(
                UnsafeRawBufferPointer(rebasing: file.bytes[16..<Self.headerStart]))
            try target.write(UnsafeRawBufferPointer(rebasing: file.bytes[metadataBytes]))
        }
        try target.finish()
    }
}

extension FileCursor {
    private static let mostDimensions = 4

    /// The table of contents, with every tensor checked against the file and the others.
    fileprivate mutating func tensors(
        _ count: Int, alignment: Int
    ) throws -> [String: GGUFFile.Tensor] {
        var found: [(name: String, format: NumberFormat, shape: [Int], offset: Int)] = []
        for _ in 0..<count { found.append(try tensor(alignment: alignment)) }
        let start = (position + alignment - 1) / alignment * alignment
        var tensors: [String: GGUFFile.Tensor] = [:]
        var next = 0
        for (name, format, shape, offset) in found.sorted(by: { $0.offset < $1.offset }) {
            func fail(_ reason: String) -> CheckpointError {
                CheckpointError(
                    path: file.path, problem: .malformedTensor(name: name, reason))
            }
            guard let elements = shape.product, let size = format.bytes(of: elements),
                format.bytes(of: shape.last ?? 1) != nil
            else {
                throw fail("expected rows of whole blocks of \(format.rawValue), got \(shape)")
            }
            guard offset == next else {
                let what = offset < next ? "overlap" : "leave a gap after"
                throw fail("its bytes \(what) those of the tensor before it")
            }
            let (last, overflow) = (start + offset).addingReportingOverflow(size)
            guard !overflow, last <= file.bytes.count else {
                throw CheckpointError(
                    path: file.path,
                    problem: .truncated(
                        expected: overflow ? .max : last, found: file.bytes.count))
            }
            let entry = GGUFFile.Tensor(
                format: format, shape: shape, bytes: start + offset..<last)
            guard tensors.updateValue(entry, forKey: name) == nil else {
                throw fail("expected its name once, found it twice")
            }
            next = (offset + size + alignment - 1) / alignment * alignment
        }
        guard tensors.isEmpty || file.bytes.count <= start + next else {
            throw self.fail(
                "expected the file to end after byte \(start + next), got \(file.bytes.count) bytes"
            )
        }
        return tensors
    }

    /// One entry of the table, whose offset counts from the first tensor.
    private mutating func tensor(
        alignment: Int
    ) throws -> (name: String, format: NumberFormat, shape: [Int], offset: Int) {
        let name = try text("a tensor's name")
        func fail(_ reason: String) -> CheckpointError {
            CheckpointError(path: file.path, problem: .malformedTensor(name: name, reason))
        }
        let dimensions = Int(try number(UInt32.self))
        guard (1...Self.mostDimensions).contains(dimensions) else {
            throw fail("expected 1 to \(Self.mostDimensions) dimensions, got \(dimensions)")
        }
        var shape: [Int] = []
        for _ in 0..<dimensions {
            let size = try number(UInt64.self)
            guard let size = Int(exactly: size), size > 0 else {
                throw fail("expected dimensions over 0, got \(size)")
            }
            shape.insert(size, at: 0)
        }
        let type = try number(UInt32.self)
        guard let format = NumberFormat(ggml: type) else {
            throw fail(
                "expected \(NumberFormat.namesInGGUF), got \(NumberFormat.name(ofGGML: type)); "
                    + "quantize the model again, as Q4_K_M or Q8_0 for instance")
        }
        let offset = try number(UInt64.self)
        // The limit leaves room to add the file's length without overflow.
        guard let offset = Int(exactly: offset), offset < 1 << 60, offset % alignment == 0 else {
            throw fail("expected an offset on \(alignment) bytes, got \(offset)")
        }
        return (name, format, shape, offset)
    }
}

extension NumberFormat {
    /// The format that has this number in GGML; nil for a format that is not read.
    init?(ggml number: UInt32) {
        guard let name = Self.typesOfGGML[number], let format = Self(rawValue: name) else {
            return nil
        }
        self = format
    }

    fileprivate static func name(ofGGML number: UInt32) -> String {
        typesOfGGML[number] ?? "type \(number), which is unknown"
    }

    fileprivate static var namesInGGUF: String {
        allCases.map(\.rawValue).joined(separator: ", ")
    }

    /// The types in use, those of refused files included. Source: ggml.h, `enum ggml_type`.
    private static let typesOfGGML: [UInt32: String] = [
        0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 6: "Q5_0", 7: "Q5_1", 8: "Q8_0", 9: "Q8_1",
        10: "Q2_K", 11: "Q3_K", 12: "Q4_K", 13: "Q5_K", 14: "Q6_K", 15: "Q8_K", 16: "IQ2_XXS",
        17: "IQ2_XS", 18: "IQ3_XXS", 19: "IQ1_S", 20: "IQ4_NL", 21: "IQ3_S", 22: "IQ2_S",
        23: "IQ4_XS", 24: "I8", 25: "I16", 26: "I32", 27: "I64", 28: "F64", 29: "IQ1_M",
        30: "BF16", 34: "TQ1_0", 35: "TQ2_0", 39: "MXFP4",
    ]
}
