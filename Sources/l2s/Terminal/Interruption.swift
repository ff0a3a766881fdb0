import ArgumentParser
import Dispatch
import Glibc
import Settings
import Synchronization

/// Notes Ctrl-C and SIGTERM, which a command checks for between two steps, so that no step is left
/// half done. A second signal ends the program at once.
///
/// Unchecked `Sendable`, because `sources` never changes after `init`.
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
        // Not exit(): its handlers would destroy what lanes still compute with.
        if isSecond { _exit(ExitStatus.interrupted.rawValue) }
        Console.note("\nstopping after the step at hand; press Ctrl-C again to stop at once")
        reaction?()
    }
}
