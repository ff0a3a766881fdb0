import Glibc
import Synchronization
import TestSupport

/// A running `l2s-worker`, the binary that was built beside these tests.
final class WorkerProgram: Sendable {
    private let program: RunningProgram
    private let exit: Task<Exit, Never>
    private let isOver: Flag

    private final class Flag: Sendable {
        let value = Mutex(false)
    }

    struct Exit: Equatable {
        /// Nil when a signal ended it.
        let code: Int32?
    }

    init(_ arguments: [String], environment: [String: String] = [:]) throws {
        let program = try BuiltProgram("l2s-worker").start(arguments, environment: environment)
        let isOver = Flag()
        self.program = program
        self.isOver = isOver
        exit = Task {
            let status = try? await program.ending().status
            isOver.value.withLock { $0 = true }
            return Exit(code: status.flatMap { $0 < 0 ? nil : $0 })
        }
    }

    /// Nothing outlives its test.
    deinit {
        if !isOver.value.withLock(\.self) { program.send(SIGKILL) }
    }

    var processID: Int32 { program.processID }

    func send(_ signal: Int32) { program.send(signal) }

    func waitForExit() async -> Exit { await exit.value }

    /// What it wrote to standard error so far.
    var log: String { program.remarks }
}
