import Jobs
import Synchronization

/// Puts lines that are done in any order back into that of the input, and prints them.
///
/// Bounded: `admit` waits while too much is between reading and printing, so one slow document
/// holds the input up instead of filling the memory.
final class OrderedOutputs: Sendable {
    /// Documents between reading and printing.
    static let window = 4096
    /// Bytes of theirs; one larger document passes alone.
    static let windowBytes = 64_000_000

    private struct State {
        /// Of the next line to print.
        var next = 0
        var admitted = 0
        var bytes = 0
        var done: [Int: (line: GeneratedLine, bytes: Int)] = [:]
        /// Set when the input has ended.
        var count: Int?
    }

    private let state = Mutex(State())
    private let (progress, progressed) = AsyncStream.makeStream(
        of: Void.self, bufferingPolicy: .bufferingNewest(1))
    private let (space, spaced) = AsyncStream.makeStream(
        of: Void.self, bufferingPolicy: .bufferingNewest(1))

    /// Waits until a document of so many bytes may be taken in. One caller at a time.
    func admit(bytes: Int) async {
        func fits() -> Bool {
            state.withLock { state in
                let held = state.admitted - state.next
                guard held == 0 || (held < Self.window && state.bytes + bytes <= Self.windowBytes)
                else { return false }
                state.admitted += 1
                state.bytes += bytes
                return true
            }
        }
        if fits() { return }
        for await _ in space where fits() { return }
    }

    /// Called on a compute lane: only takes note.
    func add(_ finished: FinishedDocument, index: Int, bytes: Int) {
        add(GeneratedLine(index: index, finished), bytes: bytes)
    }

    func add(_ line: GeneratedLine, bytes: Int) {
        state.withLock { $0.done[line.index] = (line, bytes) }
        progressed.yield()
    }

    /// No line of this index or a higher one will come.
    func close(after count: Int) {
        state.withLock { $0.count = count }
        progressed.yield()
    }

    /// Prints until the last line is out; returns how many were errors.
    func print() async -> Int {
        var faults = 0
        for await _ in progress {
            let (lines, isLast) = takeReady()
            faults += lines.count { $0.error != nil }
            if !lines.isEmpty {
                let text = lines.map { $0.json + "\n" }.joined()
                // A pipe that nobody reads blocks: not on the cooperative pool.
                try? await blocking { Console.show(text) }
                spaced.yield()
            }
            if isLast { break }
        }
        return faults
    }

    private func takeReady() -> (lines: [GeneratedLine], isLast: Bool) {
        state.withLock { state in
            var lines: [GeneratedLine] = []
            while let ready = state.done.removeValue(forKey: state.next) {
                lines.append(ready.line)
                state.bytes -= ready.bytes
                state.next += 1
            }
            return (lines, state.next == state.count)
        }
    }
}
