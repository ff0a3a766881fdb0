import Glibc
import Synchronization

/// The mapped files. A process dies by SIGBUS when it reads a part of a mapped file that was cut
/// off; with this list it names the file before it dies.
enum MappedFiles {
    /// A mapping, in memory that a signal handler can read without a lock and without allocating.
    private struct Entry {
        var start: UInt = 0
        var end: UInt = 0
        /// The message about it, which is made beforehand. Freed with the entry.
        var words: UnsafeMutablePointer<CChar>?
    }

    /// The most files that can be named. Files beyond that are mapped, but not named.
    private static let capacity = 1_024
    /// Written under `isWatching`, read by the handler.
    private nonisolated(unsafe) static let entries = {
        let entries = UnsafeMutablePointer<Entry>.allocate(capacity: capacity)
        entries.initialize(repeating: Entry(), count: capacity)
        return entries
    }()
    /// Whether the handler is installed.
    private static let isWatching = Mutex(false)

    static func add(_ bytes: UnsafeRawBufferPointer, path: String) {
        let start = UInt(bitPattern: bytes.baseAddress)
        isWatching.withLock { isWatching in
            guard let free = (0..<capacity).first(where: { entries[$0].start == 0 }) else { return }
            entries[free].words = strdup(
                "l2s: \(path) was cut off while it was in use; a model is replaced by renaming, never "
                    + "written over in its place\n")
            entries[free].end = start + UInt(bytes.count)
            entries[free].start = start
            guard !isWatching else { return }
            isWatching = true
            var action = sigaction()
            action.__sigaction_handler.sa_sigaction = { _, information, _ in
                MappedFiles.tell(information?.pointee._sifields._sigfault.si_addr)
            }
            action.sa_flags = SA_SIGINFO | Int32(bitPattern: UInt32(SA_RESETHAND))
            sigaction(SIGBUS, &action, nil)
        }
    }

    static func remove(_ bytes: UnsafeRawBufferPointer) {
        let start = UInt(bitPattern: bytes.baseAddress)
        isWatching.withLock { _ in
            guard let place = (0..<capacity).first(where: { entries[$0].start == start }) else {
                return
            }
            entries[place].start = 0
            free(entries[place].words)
            entries[place].words = nil
        }
    }

    /// Runs in the signal handler. It returns to the access that failed, which fails again and then
    /// ends the process.
    private static func tell(_ address: UnsafeMutableRawPointer?) {
        let place = UInt(bitPattern: address)
        var index = 0
        while index < capacity {
            let entry = entries[index]
            if entry.start != 0, entry.start <= place, place < entry.end, let words = entry.words {
                _ = write(STDERR_FILENO, words, strlen(words))
            }
            index += 1
        }
    }
}
