import Glibc

/// Interrupts a thread that waits in poll().
///
/// A signal given while nobody waits is kept for the next wait. Where the process has no file
/// descriptor left, signals are lost and waits run to their timeout.
final class WakePipe: Sendable {
    /// To poll for reading; negative, which poll ignores, where there was none left.
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
        // A full pipe is signal enough.
        _ = write(input, [1] as [UInt8], 1)
    }

    /// Takes all signals back; false when there was none.
    func consume() -> Bool {
        var bytes = [UInt8](repeating: 0, count: 64)
        var any = false
        while read(descriptor, &bytes, bytes.count) > 0 { any = true }
        return any
    }
}
