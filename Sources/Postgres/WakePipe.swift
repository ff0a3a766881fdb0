import Glibc

/// Interrupts a thread that waits in poll().
///
/// A signal that comes while nobody waits is kept for the next wait. If the process has no file
/// descriptor left, signals are lost and waits last until their timeout.
final class WakePipe: Sendable {
    /// The descriptor to poll for reading. It is negative, which poll ignores, if the process had
    /// none left.
    let descriptor: Int32
    private let input: Int32

    init() {
        var ends: [Int32] = [-1, -1]
        pipe(&ends)
        for end in ends where end >= 0 {
            _ = fcntl(end, F_SETFL, O_NONBLOCK)
            _ = fcntl(end, F_SETFD, FD_CLOEXEC)
        }
        (descriptor, input) = (ends[0], ends[1])
    }

    deinit {
        close(descriptor)
        close(input)
    }

    func signal() {
        // The write fails only if the pipe is full, and then a signal is already there.
        _ = write(input, [1] as [UInt8], 1)
    }

    /// Removes all signals. Returns whether there was one.
    func consume() -> Bool {
        var bytes = [UInt8](repeating: 0, count: 64)
        var any = false
        while read(descriptor, &bytes, bytes.count) > 0 { any = true }
        return any
    }
}
