import Glibc

/// A lock that one process holds at a time, for as long as this object lives. The system releases
/// it when the process ends, however it ends.
package final class FileLock: Sendable {
    private let descriptor: Int32

    /// Creates the file at `path` where there is none, locks it, and writes this process's id into
    /// it.
    ///
    /// - Parameter purpose: completes "expected no other process to …".
    /// - Throws: `CheckpointError` where another process holds the lock, or the file cannot be
    ///   opened or locked.
    package init(path: String, purpose: String) throws {
        descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o666)
        guard descriptor >= 0 else { throw Self.failure(path, "create it") }
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            let reason = errno
            let holder = Self.text(of: descriptor)
            close(descriptor)
            guard reason == EWOULDBLOCK else {
                errno = reason
                throw Self.failure(path, "lock it")
            }
            throw CheckpointError(
                path: path,
                problem: .malformed(
                    "expected no other process to \(purpose), found process \(holder) at it; wait "
                        + "until it is done, or end it"))
        }
        // The id only serves the message to a process that is refused, so a failed write is
        // ignored.
        _ = ftruncate(descriptor, 0)
        let number = "\(getpid())\n"
        _ = pwrite(descriptor, number, number.utf8.count, 0)
    }

    deinit {
        // A child process that another thread is starting keeps the file open until its program
        // runs. If the file were only closed here, the lock would stay taken until then.
        flock(descriptor, LOCK_UN)
        close(descriptor)
    }

    private static func text(of descriptor: Int32) -> String {
        var bytes = [UInt8](repeating: 0, count: 20)
        let count = pread(descriptor, &bytes, bytes.count, 0)
        return String(decoding: bytes.prefix(max(count, 0)).filter { $0 > 32 }, as: UTF8.self)
    }

    private static func failure(_ path: String, _ attempt: String) -> CheckpointError {
        CheckpointError(
            path: path,
            problem: .unreadable(attempt: attempt, reason: String(cString: strerror(errno))))
    }
}
