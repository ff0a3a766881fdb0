import FoundationEssentials
import Glibc

/// A mapped file of rows of equal width in BF16, for what is too large for memory and computed
/// once.
package struct RowFile: Sendable {
    private let file: FileMapping
    package let width: Int
    package let rows: Int

    /// The header before the rows: `magic`, the key, and the width as eight bytes.
    fileprivate static let headerBytes = 64
    fileprivate static let magic = "l2s rows of BF16, 1\n"

    /// - Parameter key: at most 32 bytes that tell the contents from others.
    /// - Throws: `CheckpointError` for a file that cannot be read, is damaged, or has another key
    ///   or width.
    package init(path: String, key: String, width: Int) throws {
        file = try FileMapping(path: path)
        self.width = width
        let contents = file.bytes.count - Self.headerBytes
        guard contents >= 0, contents % (2 * width) == 0,
            file.bytes.starts(with: Self.header(key: key, width: width))
        else {
            throw CheckpointError(
                path: path,
                problem: .malformed(
                    "expected rows of \(width) that were written for the same contents, found "
                        + "other data; remove the file"))
        }
        rows = contents / (2 * width)
    }

    /// Copies some rows, converted to Float32; every conversion is exact.
    ///
    /// - Precondition: `range` lies within the rows, and `destination` has exactly their size.
    package func read(_ range: Range<Int>, into destination: UnsafeMutableBufferPointer<Float>) {
        precondition(
            range.lowerBound >= 0 && range.upperBound <= rows
                && destination.count == range.count * width,
            "\(range) of \(rows) rows of \(width) into \(destination.count) floats")
        withExtendedLifetime(file) {
            let start = Self.headerBytes + range.lowerBound * width * 2
            let source = UnsafeRawBufferPointer(
                rebasing: file.bytes[start..<start + destination.count * 2])
            for index in destination.indices {
                let half = source.loadUnaligned(fromByteOffset: 2 * index, as: UInt16.self)
                destination[index] = Float(bitPattern: UInt32(half) << 16)
            }
        }
    }

    fileprivate static func header(key: String, width: Int) -> [UInt8] {
        precondition(key.utf8.count <= 32, "a key of \(key.utf8.count) bytes")
        var header = Array(magic.utf8) + Array(key.utf8)
        header += [UInt8](repeating: 0, count: headerBytes - 8 - header.count)
        return header + withUnsafeBytes(of: UInt64(width).littleEndian) { Array($0) }
    }
}

/// Writes a `RowFile` from its first row to its last. A later run continues where one stopped.
///
/// Not thread-safe: one thread at a time.
package final class RowFileWriter {
    private let path: String
    private let descriptor: Int32
    private let width: Int
    /// Written so far, by earlier runs too.
    package private(set) var rows: Int

    private var unfinished: String { path + ".unfinished" }

    /// Opens the file that an earlier run left unfinished, or begins a new one.
    ///
    /// - Throws: `CheckpointError`, also where another process is writing the same file.
    package init(path: String, key: String, width: Int) throws {
        self.path = path
        self.width = width
        let unfinished = path + ".unfinished"
        let header = RowFile.header(key: key, width: width)
        rows = 0
        descriptor = try FileLock.open(unfinished, purpose: "write it")
        var found = [UInt8](repeating: 0, count: RowFile.headerBytes)
        let length = pread(descriptor, &found, found.count, 0)
        let size = Int(lseek(descriptor, 0, SEEK_END))
        if length == found.count, found == header {
            rows = (size - RowFile.headerBytes) / (2 * width)
            try keep(rows)
        } else {
            guard ftruncate(descriptor, 0) == 0 else { throw failure(unfinished, "write it") }
            lseek(descriptor, 0, SEEK_SET)
            try header.withUnsafeBytes(write)
        }
    }

    deinit {
        // As in `FileLock`: a child process that is being started must not keep the lock.
        flock(descriptor, LOCK_UN)
        close(descriptor)
    }

    /// Drops the rows after the first `count`.
    ///
    /// - Precondition: there are at least `count` rows.
    package func keep(_ count: Int) throws {
        precondition(count <= rows, "\(count) of \(rows) rows")
        let size = RowFile.headerBytes + count * width * 2
        guard ftruncate(descriptor, off_t(size)) == 0, lseek(descriptor, 0, SEEK_END) == size
        else { throw failure(unfinished, "cut it off") }
        rows = count
    }

    /// Rounds to the nearest BF16, ties to even.
    ///
    /// - Precondition: `values` are whole rows of finite numbers.
    package func append(_ values: UnsafeBufferPointer<Float>) throws {
        precondition(values.count % width == 0, "\(values.count) floats in rows of \(width)")
        let halves = values.map { value in
            let bits = value.bitPattern
            return UInt16((bits &+ 0x7FFF &+ (bits >> 16 & 1)) >> 16)
        }
        try halves.withUnsafeBytes(write)
        rows += values.count / width
    }

    /// Waits until the disk has all rows, then gives the file its name.
    package func finish() throws {
        guard fsync(descriptor) == 0 else { throw failure(unfinished, "write it to the disk") }
        guard rename(unfinished, path) == 0 else { throw failure(path, "create it") }
    }

    private func write(_ bytes: UnsafeRawBufferPointer) throws {
        try writeAll(bytes, to: descriptor, unfinished)
    }
}
