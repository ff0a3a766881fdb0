import FoundationEssentials

/// The table of contents of one safetensors file.
///
/// The file is: 8 bytes with the header's length (little-endian), the header in JSON, the tensors'
/// bytes without gap or overlap. Nothing of the header is trusted.
/// Source: https://huggingface.co/docs/safetensors
struct SafetensorsHeader {
    struct Entry: Equatable {
        let format: String
        let shape: [Int]
        /// Position of the tensor's bytes in the file.
        let bytes: Range<Int>
    }

    let entries: [String: Entry]
    /// `__metadata__`; empty where the file has none.
    let metadata: [String: String]

    /// The limit that safetensors itself sets, in bytes.
    static let longestHeader = 100_000_000
    static let mostDimensions = 8
    static let metadataName = "__metadata__"

    init(of file: FileMapping) throws {
        func fail(_ reason: String) -> CheckpointError {
            CheckpointError(path: file.path, problem: .malformed(reason))
        }
        let size = file.bytes.count
        guard size >= 8 else {
            throw CheckpointError(path: file.path, problem: .truncated(expected: 8, found: size))
        }
        let length = UInt64(littleEndian: file.bytes.loadUnaligned(as: UInt64.self))
        guard length >= 2, length <= UInt64(Self.longestHeader) else {
            throw fail(
                "expected a safetensors header of 2 to \(Self.longestHeader) bytes, "
                    + "got \(length); this is no safetensors file, or it is damaged")
        }
        let start = 8 + Int(length)
        guard start <= size else {
            throw CheckpointError(
                path: file.path, problem: .truncated(expected: start, found: size))
        }
        // This check also keeps the decoder from guessing at UTF-16 and UTF-32.
        guard file.bytes[8] == UInt8(ascii: "{"), file.bytes[9] != 0 else {
            throw fail("expected the safetensors header to be a JSON object")
        }
        let raw: RawHeader
        do {
            raw = try JSONDecoder().decode(RawHeader.self, from: file.data(in: 8..<start))
        } catch let problem as CheckpointError.Problem {
            throw CheckpointError(path: file.path, problem: problem)
        } catch {
            throw fail("the safetensors header is not valid JSON")
        }
        var entries: [String: Entry] = [:]
        entries.reserveCapacity(raw.tensors.count)
        for (name, tensor) in raw.tensors {
            do throws(CheckpointError.Problem) {
                entries[name] = try tensor.checked(name: name, start: start)
            } catch {
                throw CheckpointError(path: file.path, problem: error)
            }
        }
        self.entries = entries
        metadata = raw.metadata
        try checkCover(start..<size, path: file.path)
    }

    /// Each byte after the header must belong to exactly one tensor. This finds overlaps, names
    /// that occur twice, and files that were cut off or appended to.
    private func checkCover(_ data: Range<Int>, path: String) throws {
        var next = data.lowerBound
        for (name, entry) in entries.sorted(by: { lhs, rhs in
            (lhs.value.bytes.lowerBound, lhs.value.bytes.upperBound)
                < (rhs.value.bytes.lowerBound, rhs.value.bytes.upperBound)
        }) {
            guard entry.bytes.lowerBound == next else {
                let what = entry.bytes.lowerBound < next ? "overlap" : "leave a gap after"
                throw CheckpointError(
                    path: path,
                    problem: .malformedTensor(
                        name: name, "its bytes \(what) those of the tensor before it"))
            }
            next = entry.bytes.upperBound
        }
        if next > data.upperBound {
            throw CheckpointError(
                path: path, problem: .truncated(expected: next, found: data.upperBound))
        }
        if next < data.upperBound {
            throw CheckpointError(
                path: path,
                problem: .malformed(
                    "expected the file to end after byte \(next), got \(data.upperBound) bytes"))
        }
    }
}

/// Tensors in the block formats of GGML, which safetensors does not have, are written as bytes, and
/// the metadata name their format.
extension SafetensorsHeader {
    static func blockKey(_ name: String) -> String { "l2s.blocks." + name }

    /// The entries, in which tensors of blocks have the format and shape that the metadata name.
    func entries(withBlocksOf file: FileMapping) throws -> [String: Entry] {
        var entries = entries
        let prefix = Self.blockKey("")
        for (key, value) in metadata where key.hasPrefix(prefix) {
            let name = String(key.dropFirst(prefix.count))
            guard let entry = entries[name], let format = NumberFormat(rawValue: value),
                entry.format == "U8", let width = entry.shape.last,
                width % format.block.bytes == 0
            else {
                throw CheckpointError(
                    path: file.path,
                    problem: .malformedTensor(
                        name: name,
                        "expected bytes of whole blocks of \(quoted(value)), as the "
                            + "metadata say, found other data; convert the original again"))
            }
            entries[name] = Entry(
                format: value,
                shape: entry.shape.dropLast() + [
                    width / format.block.bytes * format.block.elements
                ],
                bytes: entry.bytes)
        }
        return entries
    }
}

extension CheckpointError.Problem: Error {}

/// The header as it is written, before any check.
private struct RawHeader: Decodable {
    var tensors: [String: RawTensor] = [:]
    let metadata: [String: String]

    init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: AnyKey.self)
        let ownKey = AnyKey(stringValue: SafetensorsHeader.metadataName)
        // Metadata of other programs are not needed, so no form of them is refused.
        metadata = (try? container.decode([String: String].self, forKey: ownKey)) ?? [:]
        for key in container.allKeys where key.stringValue != ownKey.stringValue {
            do {
                tensors[key.stringValue] = try container.decode(RawTensor.self, forKey: key)
            } catch {
                throw CheckpointError.Problem.malformedTensor(
                    name: key.stringValue,
                    "expected dtype (text), shape and data_offsets (whole numbers) in the header")
            }
        }
    }
}

private struct RawTensor: Decodable {
    let dtype: String
    let shape: [Int]
    let data_offsets: [Int]

    /// - Parameter start: the position in the file that offsets count from.
    func checked(
        name: String, start: Int
    ) throws(CheckpointError.Problem) -> SafetensorsHeader.Entry {
        func fail(_ reason: String) -> CheckpointError.Problem {
            .malformedTensor(name: name, reason)
        }
        guard let bits = bitsOfFormat[dtype] else {
            throw fail("expected a dtype that safetensors defines, got \(quoted(dtype))")
        }
        guard shape.count <= SafetensorsHeader.mostDimensions else {
            throw fail(
                "expected at most \(SafetensorsHeader.mostDimensions) dimensions, "
                    + "got \(shape.count)")
        }
        guard shape.allSatisfy({ $0 >= 0 }) else {
            throw fail("expected a shape without negative numbers, got \(shape)")
        }
        guard data_offsets.count == 2, data_offsets[0] >= 0, data_offsets[0] <= data_offsets[1]
        else {
            throw fail("expected data_offsets of a begin and an end, got \(data_offsets.prefix(4))")
        }
        let found = data_offsets[1] - data_offsets[0]
        guard let size = (shape + [bits]).product, size % 8 == 0, size / 8 == found else {
            throw fail("expected the bytes of \(dtype) \(shape), got \(found) bytes")
        }
        let (end, overflow) = start.addingReportingOverflow(data_offsets[1])
        guard !overflow else { throw fail("data_offsets \(data_offsets) are out of range") }
        return .init(format: dtype, shape: shape, bytes: start + data_offsets[0]..<end)
    }
}

struct AnyKey: CodingKey {
    let stringValue: String
    var intValue: Int? { nil }
    init(stringValue: String) { self.stringValue = stringValue }
    init?(intValue: Int) { nil }
}
