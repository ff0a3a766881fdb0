import Foundation
import Programs
import Settings

/// Runs l2s-worker as a child until the queue is empty, and shows how far it is.
struct DemoWorker {
    let database: DemoDatabase
    let installation: Installation
    let interruption: Interruption

    private var log: String { database.folder + "/worker.log" }

    /// Finishes what an earlier run left behind, so that it takes no time of the measured run.
    func finishLeftovers() async throws {
        let leftovers = try await database.unfinished()
        guard !leftovers.isEmpty else { return }
        Console.print("\nFinishing \(leftovers.count) documents of a run that was stopped")
        try await run(leftovers, title: "leftovers")
    }

    func run(_ ids: [Int64], title: String) async throws {
        try interruption.check()
        let process = try WorkerProcess.make(
            database.url, installation, log: log, ["--until-empty"])
        let (ended, end) = AsyncStream.makeStream(of: Void.self)
        process.terminationHandler = { _ in end.finish() }
        do {
            try process.run()
        } catch {
            throw Failure("cannot run \(process.executableURL?.path ?? "l2s-worker"): \(error)")
        }
        // The signal's thread gets only the number, because a Process may not be shared.
        let child = process.processIdentifier
        // SIGTERM drains: what the worker has begun is finished, the rest stays in the queue.
        try await interruption.reacting(by: { kill(child, SIGTERM) }) {
            try await withThrowingTaskGroup { group in
                group.addTask { try await showProgress(ids, title: title) }
                for await _ in ended {}
                group.cancelAll()
                try await group.waitForAll()
            }
        }
        try interruption.check()
        guard process.terminationReason == .exit, process.terminationStatus == 0 else {
            throw Failure(
                "l2s-worker ended with status \(process.terminationStatus); its log, \(log), ends:\n"
                    + lastLines)
        }
        let finished = try await database.finished(among: ids)
        guard finished == ids.count else {
            throw Failure(
                "l2s-worker ended with \(finished) of \(ids.count) documents finished; "
                    + "see its log, \(log)")
        }
    }

    /// Returns when all documents are finished or the worker has ended.
    private func showProgress(_ ids: [Int64], title: String) async throws {
        let progress = Progress(title, unit: "documents finished")
        var finished = 0
        while finished < ids.count {
            finished = try await database.finished(among: ids)
            progress.update(finished, of: ids.count)
            guard !Task.isCancelled else { break }
            try? await Task.sleep(for: .milliseconds(100))
        }
        progress.conclude()
    }

    private var lastLines: String {
        let text = (try? String(contentsOfFile: log, encoding: .utf8)) ?? ""
        return text.split(separator: "\n").suffix(5).joined(separator: "\n")
    }
}
