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
        descriptor = try Self.open(path, purpose: purpose)
        // The id only serves the message to a process that is refused, so a failed write is
        // ignored.
        _ = ftruncate(descriptor, 0)
        let number = "\(getpid())\n"
        _ = pwrite(descriptor, number, number.utf8.count, 0)
    }

    /// Opens the file at `path`, which is created where there is none, and locks it.
    ///
    /// The file may be removed or renamed after it was opened and before it is locked. Its lock would
    /// guard nothing then, so the file that has the name now is opened instead.
    ///
    /// - Returns: the file's descriptor.
    /// - Throws: as `init` does.
    static func open(_ path: String, purpose: String) throws -> Int32 {
        while true {
            let descriptor = Glibc.open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o666)
            guard descriptor >= 0 else { throw failure(path, "create it") }
            guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
                let error =
                    errno == EWOULDBLOCK
                    ? refusal(path, purpose, holder: text(of: descriptor))
                    : failure(path, "lock it")
                close(descriptor)
                throw error
            }
            var (locked, named) = (stat(), stat())
            if fstat(descriptor, &locked) == 0, stat(path, &named) == 0,
                (locked.st_dev, locked.st_ino) == (named.st_dev, named.st_ino)
            {
                return descriptor
            }
            close(descriptor)
        }
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

    private static func refusal(
        _ path: String, _ purpose: String, holder: String
    ) -> CheckpointError {
        let process = Int32(holder).map { "process \($0)" } ?? "another process"
        return CheckpointError(
            path: path,
            problem: .malformed(
                "expected no other process to \(purpose), found \(process) at it; wait until it is "
                    + "done, or end it"))
    }

    private static func failure(_ path: String, _ attempt: String) -> CheckpointError {
        CheckpointError(
            path: path,
            problem: .unreadable(attempt: attempt, reason: String(cString: strerror(errno))))
    }
}
