package import Jobs

/// The queue and its workers at one moment. Times are in seconds, or in milliseconds where a name
/// ends in `Ms`. It holds ids, names, numbers and the reasons of failures, but no text of a
/// document.
package struct Overview: Sendable, Encodable {
    package struct Queue: Sendable, Encodable {
        package let name: String
        package let paused: Bool
        package let waiting: Int
        package let delayed: Int
        package let running: Int
        /// Running documents that were cancelled. They end as soon as their workers hear of it.
        package let cancelling: Int
        /// Tokens of the waiting documents, estimated.
        package let tokensWaiting: Int
        /// Nil when nothing waits.
        package let oldestWaitingS: Double?
        /// Documents that succeeded or failed in the last minute.
        package let finished: Int
        package let failed: Int
        package let cancelled: Int
    }

    /// A group that is not finished.
    package struct Group: Sendable, Encodable {
        package let name: String
        package let waiting: Int
        package let delayed: Int
        package let running: Int
        /// `succeeded`, `failed` and `cancelled` are nil if they are more than a million together,
        /// because that takes too long to count again and again.
        package let succeeded: Int?
        package let failed: Int?
        package let cancelled: Int?
        /// Documents that succeeded or failed in the last minute.
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
        /// Documents in the batches that it holds.
        package let documents: Int
        /// Documents that it finished in the last minute.
        package let finished: Int
        /// Nil before its first heartbeat.
        package let load: WorkerLoad?
    }

    /// The documents that finished within ten seconds.
    package struct Point: Sendable, Encodable {
        /// The first of the ten seconds, counted from 1970.
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

    /// A document that finished lately.
    package struct Recent: Sendable, Encodable {
        package let id: Int64
        package let jobType: String
        package let succeeded: Bool
        /// Seconds since it finished.
        package let ageS: Double
        /// In the order of `stageNames`; nil for a stage that the document did not reach.
        package let stagesMs: [Double?]
    }

    package struct DeadLetter: Sendable, Encodable {
        package let id: Int64
        package let jobType: String
        package let attempt: Int
        package let ageS: Double
        package let error: String
    }

    /// The stages in the order in which a document passes them.
    package static let stageNames = [
        "queue", "tokenize", "batch_wait", "encode", "handoff", "decode", "writeback",
    ]

    package static let mostGroups = 8

    /// Seconds since 1970 by the server's clock.
    package let time: Double
    /// The time over which `finished` and `tokens` were counted: the last minute, or less if the
    /// work on its documents began later.
    package let rateS: Double
    /// Tokens that were read or written in the last minute.
    package let tokens: Int
    package let queues: [Queue]
    /// Newest first, at most `mostGroups`.
    package let groups: [Group]
    package let workers: [Worker]
    /// The last hour, oldest first. An interval in which nothing finished has no point.
    package internal(set) var points: [Point]
    /// Stage times of the last minute's documents; empty when there is none.
    package let stages: [Stage]
    /// Newest first.
    package let recent: [Recent]
    /// The newest dead letters of the last day, newest first.
    package let deadLetters: [DeadLetter]
    /// The number of dead letters in the last day.
    package let dead: Int

    /// Whether there are unfinished documents and none of them runs or may be claimed.
    package var isPaused: Bool {
        let open = queues.filter { $0.waiting + $0.delayed + $0.running > 0 }
        return !open.isEmpty && open.allSatisfy { $0.paused && $0.running == 0 }
    }
}
