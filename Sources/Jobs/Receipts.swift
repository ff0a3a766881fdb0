/// What the store did with each document of a completion.
package struct CompletionReceipt: Sendable, Equatable {
    /// Recorded as finished, by this call or by an earlier one whose answer was lost.
    package var recorded: [Int64] = []
    /// Recorded as failed, to be tried again.
    package var retried: [Int64] = []
    /// Cancelled meanwhile; their outputs were dropped.
    package var cancelled: [Int64] = []
    /// Refused, because the lease no longer held them: another worker has them or had them.
    package var stale: [Int64] = []

    package init(
        recorded: [Int64] = [], retried: [Int64] = [], cancelled: [Int64] = [], stale: [Int64] = []
    ) {
        self.recorded = recorded
        self.retried = retried
        self.cancelled = cancelled
        self.stale = stale
    }
}

package struct HeartbeatReply: Sendable, Equatable {
    /// The leases of the heartbeat that the worker still owns. Work on all others is in vain.
    package let owned: Set<LeaseID>
    /// Documents of these leases that were cancelled. The worker may give them back or finish them:
    /// the store drops their outputs.
    package let cancelled: [LeaseID: Set<Int64>]

    package init(owned: Set<LeaseID>, cancelled: [LeaseID: Set<Int64>] = [:]) {
        self.owned = owned
        self.cancelled = cancelled
    }
}

/// What was taken back from workers that went silent.
package struct RescueSummary: Sendable, Equatable {
    package let leases: Int
    /// Documents that are ready again, as suspects.
    package let suspects: Int
    /// Documents that became dead letters, because four workers went silent with them.
    package let dead: Int
    /// Job types that were paused because lately all their documents ended like that.
    package let paused: [String]
    /// Leases that could not be taken back, each with the reason. They are tried again later.
    package let failures: [String]

    package init(
        leases: Int, suspects: Int, dead: Int, paused: [String] = [], failures: [String] = []
    ) {
        self.leases = leases
        self.suspects = suspects
        self.dead = dead
        self.paused = paused
        self.failures = failures
    }
}

/// What a piece of maintenance did.
package struct MaintenanceStep: Sendable, Equatable {
    /// A line of text for each thing that was done.
    package var done: [String] = []
    /// A line of text for each thing that failed.
    package var failures: [String] = []
    /// Whether the next piece is to be done at once.
    package var hasMore = false

    package init() {}
}

/// How many documents are not finished.
package struct Unfinished: Sendable, Equatable {
    /// Documents that wait, run or are to be tried again.
    package let due: Int
    /// Documents that were enqueued for a later time.
    package let scheduled: Int
    /// Documents that wait in a paused queue or are of a paused job type.
    package let paused: Int

    package init(due: Int, scheduled: Int = 0, paused: Int = 0) {
        self.due = due
        self.scheduled = scheduled
        self.paused = paused
    }
}
