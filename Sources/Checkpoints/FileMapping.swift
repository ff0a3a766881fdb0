import FoundationEssentials
import Glibc

/// A file's bytes, mapped read-only for as long as this object lives.
///
/// The pages are read when they are touched, and shared by all processes that map the file. A
/// model that is in use must be replaced by renaming, never overwritten in place: a mapped file
/// that shrinks raises SIGBUS in its readers, and `MappedFiles` then names the file.
final class FileMapping: Sendable {
    let path: String
    /// Read-only for the life of the object, so it may be read from every thread.
    nonisolated(unsafe) let bytes: UnsafeRawBufferPointer

    /// - Throws: `CheckpointError` when the file cannot be mapped, is empty, no regular file,
    ///   or a Git LFS pointer.
    init(path: String) throws {
        func fail(_ attempt: String, _ number: Int32) -> CheckpointError {
            CheckpointError(
                path: path,
                problem: .unreadable(attempt: attempt, reason: String(cString: strerror(number))))
        }
        guard !path.utf8.contains(0) else { throw fail("open it", EINVAL) }
        // Without O_NONBLOCK, opening a named pipe would wait for a writer.
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else { throw fail("open it", errno) }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw fail("read its size", errno) }
        guard status.st_mode & S_IFMT == S_IFREG else {
            throw CheckpointError(path: path, problem: .malformed("expected a regular file"))
        }
        guard let size = Int(exactly: status.st_size), size > 0 else {
            throw CheckpointError(path: path, problem: .malformed("the file is empty"))
        }
        guard let start = mmap(nil, size, PROT_READ, MAP_PRIVATE, descriptor, 0),
            start != MAP_FAILED
        else { throw fail("map it", errno) }
        self.path = path
        bytes = UnsafeRawBufferPointer(start: start, count: size)
        MappedFiles.add(bytes, path: path)
        guard !bytes.starts(with: "version https://git-lfs".utf8) else {
            throw CheckpointError(path: path, problem: .gitPointer)
        }
    }

    deinit {
        MappedFiles.remove(bytes)
        munmap(UnsafeMutableRawPointer(mutating: bytes.baseAddress), bytes.count)
    }

    static func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

    static func isFolder(_ path: String) -> Bool {
        var status = stat()
        return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
    }

    /// The names of what lies in a folder. Empty where the folder cannot be read.
    static func names(in folder: String) -> [String] {
        (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
    }
}

extension FileMapping {
    /// A copy of part of the file. - Precondition: the range lies within `bytes`.
    func data(in range: Range<Int>) -> Data { Data(bytes[range]) }
}
