/// The table of contents of a zip archive whose files are stored as they are, mapped.
/// Source: https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT
struct ZipDirectory {
    /// Where each file's bytes lie.
    let files: [String: Range<Int>]

    static let signature: [UInt8] = [0x50, 0x4B, 0x03, 0x04]
    private static let mostFiles = 1_000_000

    init(_ file: FileMapping) throws {
        let end = try End(file)
        var cursor = FileCursor(file, at: end.directory)
        var files: [String: Range<Int>] = [:]
        for _ in 0..<end.count {
            let (name, range) = try cursor.zipEntry()
            guard files.updateValue(range, forKey: name) == nil else {
                throw cursor.fail(
                    "expected each file of the archive once, found \(quoted(name)) twice")
            }
        }
        self.files = files
    }

    /// The record at the end of an archive, which says where the table is.
    private struct End {
        let directory: Int
        let count: Int

        private static let size = 22
        private static let (record, locator, large): (UInt32, UInt32, UInt32) = (
            0x0605_4B50, 0x0706_4B50, 0x0606_4B50
        )

        init(_ file: FileMapping) throws {
            let bytes = file.bytes
            func number(_ position: Int) -> UInt32 {
                UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: position, as: UInt32.self))
            }
            // A comment may follow the record.
            let first = max(0, bytes.count - Self.size - 65_535)
            guard bytes.count >= Self.size,
                let place = (first...bytes.count - Self.size).last(where: {
                    number($0) == Self.record
                })
            else {
                throw CheckpointError(
                    path: file.path,
                    problem: .malformed(
                        "expected a zip archive, found no table of contents at its end; the file "
                            + "is cut off or damaged, copy or download it again"))
            }
            var cursor = FileCursor(file, at: place + 10)
            var count = Int(try cursor.number(UInt16.self))
            _ = try cursor.number(UInt32.self)
            var directory = Int(try cursor.number(UInt32.self))
            if place >= 20, number(place - 20) == Self.locator {
                cursor = FileCursor(file, at: place - 12)
                let start = try cursor.position(of: "the table's end")
                cursor = FileCursor(file, at: start)
                guard try cursor.number(UInt32.self) == Self.large else {
                    throw cursor.fail("expected the large table's end, found other data")
                }
                try cursor.skip(28)
                let found = try cursor.number(UInt64.self)
                count = Int(clamping: found)
                try cursor.skip(8)
                directory = try cursor.position(of: "the table")
            }
            guard count <= ZipDirectory.mostFiles, directory <= bytes.count else {
                throw cursor.fail(
                    "expected a table of up to \(ZipDirectory.mostFiles) files within the archive, "
                        + "got \(count) files at byte \(directory)")
            }
            (self.directory, self.count) = (directory, count)
        }
    }
}

extension FileCursor {
    /// A position in the file, as eight bytes.
    fileprivate mutating func position(of what: String) throws -> Int {
        let found = try number(UInt64.self)
        guard let position = Int(exactly: found), position <= file.bytes.count else {
            throw fail("expected \(what) within the archive, got byte \(found)")
        }
        return position
    }

    /// One entry of the table.
    fileprivate mutating func zipEntry() throws -> (name: String, range: Range<Int>) {
        guard try number(UInt32.self) == 0x0201_4B50 else {
            throw fail("expected an entry of the archive's table, found other data")
        }
        try skip(4)
        let flags = try number(UInt16.self)
        let method = try number(UInt16.self)
        try skip(8)
        var stored = UInt64(try number(UInt32.self))
        var size = UInt64(try number(UInt32.self))
        let lengths = try (0..<3).map { _ in Int(try number(UInt16.self)) }
        try skip(8)
        var local = UInt64(try number(UInt32.self))
        let start = position
        try skip(lengths[0])
        guard let name = file.text(in: start..<position) else {
            throw fail("expected names of UTF-8 in the archive")
        }
        let extra = position
        try skip(lengths[1])
        try readLargeSizes(extra..<position, &size, &stored, &local)
        try skip(lengths[2])
        guard method == 0, flags & 1 == 0, size == stored else {
            throw fail(
                "expected \(quoted(name)) to be stored as it is, found it compressed or encrypted; "
                    + "save the model again with torch.save")
        }
        guard let offset = Int(exactly: local), let count = Int(exactly: size) else {
            throw fail("expected \(quoted(name)) within the archive, got byte \(local)")
        }
        // A copy of the entry lies before the file's bytes, with lengths of its own.
        guard offset <= file.bytes.count else {
            throw fail("expected \(quoted(name)) within the archive, got byte \(local)")
        }
        var header = FileCursor(file, at: offset)
        guard try header.number(UInt32.self) == 0x0403_4B50 else {
            throw fail("expected \(quoted(name)) at byte \(offset), found other data")
        }
        try header.skip(22)
        let (nameLength, extraLength) = (
            try header.number(UInt16.self), try header.number(UInt16.self)
        )
        try header.skip(Int(nameLength) + Int(extraLength))
        let begin = header.position
        try header.skip(count)
        return (name, begin..<begin + count)
    }

    /// Sizes and places over 4 GB lie in an extra field. It holds only those that do not fit into
    /// the entry, in the order of the parameters.
    private func readLargeSizes(
        _ range: Range<Int>, _ size: inout UInt64, _ stored: inout UInt64, _ local: inout UInt64
    ) throws {
        let none = UInt64(UInt32.max)
        guard size == none || stored == none || local == none else { return }
        var cursor = FileCursor(file, at: range.lowerBound)
        while cursor.position + 4 <= range.upperBound {
            let kind = try cursor.number(UInt16.self)
            let length = Int(try cursor.number(UInt16.self))
            guard kind == 1 else {
                try cursor.skip(length)
                continue
            }
            if size == none { size = try cursor.number(UInt64.self) }
            if stored == none { stored = try cursor.number(UInt64.self) }
            if local == none { local = try cursor.number(UInt64.self) }
            return
        }
    }
}
