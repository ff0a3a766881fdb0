import ArgumentParser
import Dispatch
import Glibc
import Settings
import Synchronization

/// Ctrl-C and SIGTERM, turned into something to ask for between two steps, so that none is left
/// half done. A second signal ends the program at once.
///
/// Unchecked: the sources are only kept alive here, never touched again.
final class Interruption: @unchecked Sendable {
    private struct State {
        var isRequested = false
        var reaction: (@Sendable () -> Void)?
    }

    private let state = Mutex(State())
    private var sources: [any DispatchSourceSignal] = []

    init() {
        for number in [SIGINT, SIGTERM] {
            signal(number, SIG_IGN)
            let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
            source.setEventHandler { [weak self] in self?.request() }
            source.resume()
            sources.append(source)
        }
    }

    /// Throws once a signal has come.
    func check() throws {
        if state.withLock(\.isRequested) { throw ExitCode.interrupted }
    }

    /// Runs `body`; a signal in the meantime calls `reaction`, once.
    func reacting<Result>(
        by reaction: @escaping @Sendable () -> Void, _ body: () async throws -> Result
    ) async throws -> Result {
        let isLate = state.withLock { state in
            state.reaction = reaction
            return state.isRequested
        }
        defer { state.withLock { $0.reaction = nil } }
        if isLate { reaction() }
        return try await body()
    }

    private func request() {
        let (isSecond, reaction) = state.withLock { state in
            defer { state.isRequested = true }
            return (state.isRequested, state.reaction)
        }
        if isSecond { exit(ExitStatus.interrupted.rawValue) }
        Console.note("\nstopping after the step at hand; press Ctrl-C again to stop at once")
        reaction?()
    }
}
