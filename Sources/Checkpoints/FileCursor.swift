import FoundationEssentials

/// Reads the numbers and texts of a binary header from its beginning to its end. Nothing read is
/// trusted: every step is checked against the file's size.
struct FileCursor {
    let file: FileMapping
    private(set) var position: Int

    /// The most bytes of a text. A chat template takes a few thousand.
    static let longestText = 64 << 20

    init(_ file: FileMapping, at position: Int = 0) {
        self.file = file
        self.position = position
    }

    var remaining: Int { file.bytes.count - position }

    func fail(_ reason: String) -> CheckpointError {
        CheckpointError(path: file.path, problem: .malformed(reason))
    }

    mutating func skip(_ count: Int) throws {
        guard count >= 0, count <= remaining else {
            let (end, overflow) = position.addingReportingOverflow(count)
            throw CheckpointError(
                path: file.path,
                problem: .truncated(expected: overflow ? .max : end, found: file.bytes.count))
        }
        position += count
    }

    mutating func number<Number: FixedWidthInteger>(_ type: Number.Type) throws -> Number {
        let start = position
        try skip(MemoryLayout<Number>.size)
        return Number(
            littleEndian: file.bytes.loadUnaligned(fromByteOffset: start, as: Number.self))
    }

    /// A count that must fit into the rest of the file.
    ///
    /// - Parameter least: the fewest bytes that one counted item takes.
    mutating func count(of what: String, least: Int) throws -> Int {
        let found = try number(UInt64.self)
        guard let count = Int(exactly: found), count <= remaining / least else {
            throw fail(
                "expected a number of \(what) that the file has room for, got \(found); the file "
                    + "is cut off or damaged, copy or download it again")
        }
        return count
    }

    /// Where the bytes of a text lie. They are skipped, not decoded.
    mutating func textRange(_ what: String) throws -> Range<Int> {
        let length = try number(UInt64.self)
        guard length <= UInt64(Self.longestText) else {
            throw fail(
                "expected \(what) of at most \(Self.longestText) bytes, got \(length); the file "
                    + "is damaged, copy or download it again")
        }
        let start = position
        try skip(Int(length))
        return start..<position
    }

    mutating func text(_ what: String) throws -> String {
        let range = try textRange(what)
        guard let text = file.text(in: range) else {
            throw fail("expected \(what) to be UTF-8, found other bytes at \(range.lowerBound)")
        }
        return text
    }
}

extension FileMapping {
    /// Nil for bytes that are not UTF-8. - Precondition: the range lies within `bytes`.
    func text(in range: Range<Int>) -> String? {
        String(validating: bytes[range], as: UTF8.self)
    }
}
