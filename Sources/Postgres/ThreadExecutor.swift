import Foundation

/// Runs the jobs of one actor, in order, on a thread of its own.
///
/// libpq blocks, and threads of Swift's cooperative pool must not block: a heartbeat that waited
/// there for a thread could come too late for its leases.
final class ThreadExecutor: SerialExecutor {
    private let inbox = Inbox()

    init(name: String) {
        let thread = Thread { [inbox] in
            while let (job, executor) = inbox.next() {
                job.runSynchronously(on: executor.asUnownedSerialExecutor())
            }
        }
        thread.name = name
        thread.start()
    }

    deinit { inbox.close() }

    func enqueue(_ job: consuming ExecutorJob) {
        inbox.add(UnownedJob(job), self)
    }
}

/// The jobs that wait for their thread. An entry keeps its executor alive until it has run.
///
/// `@unchecked Sendable`: every access to the fields holds the condition's lock.
private final class Inbox: @unchecked Sendable {
    private let condition = NSCondition()
    private var entries: [(UnownedJob, ThreadExecutor)] = []
    private var closed = false

    func add(_ job: UnownedJob, _ executor: ThreadExecutor) {
        condition.withLock {
            entries.append((job, executor))
            condition.signal()
        }
    }

    func close() {
        condition.withLock {
            closed = true
            condition.signal()
        }
    }

    /// Waits for the next entry. Returns nil when the inbox is closed and empty.
    func next() -> (UnownedJob, ThreadExecutor)? {
        condition.withLock {
            while entries.isEmpty, !closed { condition.wait() }
            return entries.isEmpty ? nil : entries.removeFirst()
        }
    }
}
