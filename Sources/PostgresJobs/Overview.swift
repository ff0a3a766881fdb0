package import Jobs

/// The queue and its workers at one moment. Times are in seconds, but where a name ends in `Ms`.
/// Ids, names, numbers and the reasons of failures: no text of a document.
package struct Overview: Sendable, Encodable {
    package struct Queue: Sendable, Encodable {
        package let name: String
        package let paused: Bool
        package let waiting: Int
        package let delayed: Int
        package let running: Int
        /// Running documents that end as soon as their workers hear of it.
        package let cancelling: Int
        /// Tokens of the waiting documents, estimated.
        package let tokensWaiting: Int
        /// Nil when nothing waits.
        package let oldestWaitingS: Double?
        /// Finished in the last minute, failed ones included, cancelled ones not.
        package let finished: Int
        package let failed: Int
        package let cancelled: Int
    }

    /// One that is not finished.
    package struct Group: Sendable, Encodable {
        package let name: String
        package let waiting: Int
        package let delayed: Int
        package let running: Int
        /// With `failed` and `cancelled`, nil past a million of them together, which takes too long
        /// to count again and again.
        package let succeeded: Int?
        package let failed: Int?
        package let cancelled: Int?
        /// In the last minute, cancelled ones not.
        package let finished: Int

        package var left: Int { waiting + delayed + running }

        package var documents: Int? {
            guard let succeeded, let failed, let cancelled else { return nil }
            return left + succeeded + failed + cancelled
        }
    }

    package struct Worker: Sendable, Encodable {
        package let id: Int64
        /// host:pid
        package let name: String
        package let version: String
        package let idle: Bool
        package let draining: Bool
        package let silentS: Double
        /// In the batches that it holds.
        package let documents: Int
        /// In the last minute.
        package let finished: Int
        /// Nil before its first heartbeat.
        package let load: WorkerLoad?
    }

    /// What finished in ten seconds.
    package struct Point: Sendable, Encodable {
        /// The first of them, since 1970.
        package let time: Int
        package let documents: Int
        package let failed: Int
        package let tokens: Int

        package static let seconds = 10
    }

    package struct Stage: Sendable, Encodable {
        package let name: String
        package let p50Ms: Double
        package let p95Ms: Double
    }

    /// A document that finished lately. Stages that it did not come to are nil.
    package struct Recent: Sendable, Encodable {
        package let id: Int64
        package let jobType: String
        package let succeeded: Bool
        /// Since it finished.
        package let ageS: Double
        /// By the names of `stageNames`.
        package let stagesMs: [Double?]
    }

    package struct DeadLetter: Sendable, Encodable {
        package let id: Int64
        package let jobType: String
        package let attempt: Int
        package let ageS: Double
        package let error: String
    }

    /// In the order in which a document goes through them.
    package static let stageNames = [
        "queue", "tokenize", "batch_wait", "encode", "handoff", "decode", "writeback",
    ]

    package static let mostGroups = 8

    /// Seconds since 1970 by the server's clock.
    package let time: Double
    /// What `finished` and the latest tokens are over: the last minute, or since the work in it
    /// began when that is less.
    package let rateS: Double
    /// Read and written in that time.
    package let tokens: Int
    package let queues: [Queue]
    /// Newest first, at most `mostGroups`.
    package let groups: [Group]
    package let workers: [Worker]
    /// The last hour, oldest first. Intervals of ten seconds in which nothing finished are left out.
    package internal(set) var points: [Point]
    /// Stage times of the last minute's documents; empty when there is none.
    package let stages: [Stage]
    /// Newest first.
    package let recent: [Recent]
    /// Newest first, of the last day.
    package let deadLetters: [DeadLetter]
    /// In the last day.
    package let dead: Int

    /// Whether there is something to do and nothing of it may be claimed.
    package var isPaused: Bool {
        let open = queues.filter { $0.waiting + $0.delayed + $0.running > 0 }
        return !open.isEmpty && open.allSatisfy { $0.paused && $0.running == 0 }
    }
}
