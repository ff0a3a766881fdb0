package import FoundationEssentials
import Glibc

/// Makes a folder as a whole or not at all.
package enum NewFolder {
    /// Lets `fill` write into a folder beside `path`, then gives it that name. Folders above it are
    /// made where there are none.
    ///
    /// - Throws: `CheckpointError` when something lies at `path` or it cannot be written, and what
    ///   `fill` throws. Nothing is left behind then.
    package static func make(at path: String, fill: (String) throws -> Void) throws {
        try checkFree(path)
        let base = String(path.reversed().drop { $0 == "/" }.reversed())
        let temporary = base + ".unfinished-\(getpid())"
        if let end = base.lastIndex(of: "/"), end > base.startIndex {
            // If this fails, the next call fails for the same reason and reports it.
            try? FileManager.default.createDirectory(
                atPath: String(base[..<end]), withIntermediateDirectories: true)
        }
        guard mkdir(temporary, 0o777) == 0 else { throw failure(temporary, "create it") }
        do {
            try fill(temporary)
            try synchronise(temporary)
            // This also replaces an empty folder.
            try rename(temporary, to: base)
        } catch {
            try? FileManager.default.removeItem(atPath: temporary)
            throw error
        }
    }

    /// Renames a file or folder, and waits until the disk has the new name.
    static func rename(_ old: String, to new: String) throws {
        guard Glibc.rename(old, new) == 0 else { throw failure(new, "create it") }
        try synchronise(new.lastIndex(of: "/").map { String(new[...$0]) } ?? ".")
    }

    /// - Throws: `CheckpointError` unless nothing or an empty folder lies at `path`.
    package static func checkFree(_ path: String) throws {
        guard !path.isEmpty, !path.utf8.contains(0) else {
            throw CheckpointError(
                path: path, problem: .malformed("expected the path of a folder to write"))
        }
        guard FileMapping.exists(path) else { return }
        do {
            let found = try FileManager.default.contentsOfDirectory(atPath: path)
            if let first = found.min() {
                throw CheckpointError(path: path, problem: .occupied(by: first))
            }
        } catch let error as CheckpointError {
            throw error
        } catch {
            throw CheckpointError(
                path: path, problem: .malformed("expected a folder that is new or empty"))
        }
    }

    /// Copies a file, if it is there.
    package static func copy(_ name: String, from folder: String, to target: String) throws {
        guard FileMapping.exists(folder + "/" + name) else { return }
        let source = try FileMapping(path: folder + "/" + name)
        let file = try NewFile(path: target + "/" + name)
        try file.write(source.bytes)
        try file.finish()
    }

    /// Writes a small file of a folder that is being made.
    package static func write(_ text: Data, to path: String) throws {
        let file = try NewFile(path: path)
        try text.withUnsafeBytes { try file.write($0) }
        try file.finish()
    }

    private static func synchronise(_ folder: String) throws {
        let descriptor = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { throw failure(folder, "open it") }
        defer { close(descriptor) }
        guard fsync(descriptor) == 0 else { throw failure(folder, "write it to the disk") }
    }
}

/// A file that is written from beginning to end.
final class NewFile {
    private let path: String
    private let descriptor: Int32

    init(path: String) throws {
        self.path = path
        descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o666)
        guard descriptor >= 0 else { throw failure(path, "create it") }
    }

    deinit { close(descriptor) }

    func write(_ bytes: UnsafeRawBufferPointer) throws {
        try writeAll(bytes, to: descriptor, path)
    }

    /// Waits until the disk has the file. A full disk may report its error only here.
    func finish() throws {
        guard fsync(descriptor) == 0 else { throw failure(path, "write it to the disk") }
    }
}

func writeAll(_ bytes: UnsafeRawBufferPointer, to descriptor: Int32, _ path: String) throws {
    var rest = bytes[...]
    while !rest.isEmpty {
        let part = UnsafeRawBufferPointer(rebasing: rest)
        // Linux writes at most 2 GB at a time.
        let written = Glibc.write(descriptor, part.baseAddress, min(part.count, 1 << 30))
        guard written > 0 else {
            if written < 0, errno == EINTR { continue }
            throw failure(path, "write it")
        }
        rest = rest.dropFirst(written)
    }
}

/// The error that the last system call left in `errno`.
func failure(_ path: String, _ attempt: String) -> CheckpointError {
    CheckpointError(
        path: path,
        problem: .unreadable(attempt: attempt, reason: String(cString: strerror(errno))))
}
