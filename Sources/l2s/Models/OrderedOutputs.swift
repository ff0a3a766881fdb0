import Jobs
import Synchronization

/// Puts lines that are done in any order back into the order of the input, and hands them on.
///
/// Bounded: `admit` waits while too much is between reading and writing, so one slow document
/// holds the input up instead of filling the memory.
final class OrderedOutputs: Sendable {
    /// Documents between reading and writing.
    static let window = 4096
    /// Bytes of those documents; a larger document passes alone.
    static let windowBytes = 64_000_000

    private struct State {
        /// The number of the next line to hand on.
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

    /// - Parameter first: the index of the first line.
    init(from first: Int = 0) {
        state.withLock { ($0.next, $0.admitted) = (first, first) }
    }

    /// Waits until a document of `bytes` may be taken in. One caller at a time.
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

    /// Called on a lane, so it only stores the line.
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

    /// Hands lines to `write` until the last one is written, and returns how many were errors. After
    /// `write` has thrown, the remaining lines are dropped, so that nobody waits for room.
    func drain(to write: @escaping @Sendable ([GeneratedLine]) throws -> Void) async throws -> Int {
        var faults = 0
        var failure: (any Error)?
        for await _ in progress {
            let (lines, isLast) = takeReady()
            faults += lines.count { $0.error != nil }
            if !lines.isEmpty {
                do {
                    // A full pipe blocks, and the cooperative pool must not wait.
                    if failure == nil { try await blocking { try write(lines) } }
                } catch {
                    failure = error
                }
                spaced.yield()
            }
            if isLast { break }
        }
        if let failure { throw failure }
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
