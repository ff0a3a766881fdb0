/// What became of a completion.
package struct CompletionReceipt: Sendable, Equatable {
    /// Final, and recorded, by this call or by an earlier one whose answer was lost.
    package var recorded: [Int64] = []
    /// Recorded as failed, to be tried again.
    package var retried: [Int64] = []
    /// Cancelled meanwhile: what came out of them was dropped.
    package var cancelled: [Int64] = []
    /// Refused: the lease no longer held them, another worker has them or had them.
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
    /// The leases asked for that the worker still owns. Work on all others is in vain.
    package let owned: Set<LeaseID>
    /// Documents of these leases that are to end as cancelled. They may be given back or finished all
    /// the same: the store drops their outputs.
    package let cancelled: [LeaseID: Set<Int64>]

    package init(owned: Set<LeaseID>, cancelled: [LeaseID: Set<Int64>] = [:]) {
        self.owned = owned
        self.cancelled = cancelled
    }
}

/// What was taken back from workers that went silent.
package struct RescueSummary: Sendable, Equatable {
    package let leases: Int
    /// Documents ready again, in the classes of suspects.
    package let suspects: Int
    /// Documents given up: four workers went silent with them.
    package let dead: Int
    /// Job types that were paused because all that came of them lately were such documents.
    package let paused: [String]
    /// Leases that could not be taken back, each with the reason; they are left for a while.
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

/// A piece of the work that keeps a store in shape.
package struct MaintenanceStep: Sendable, Equatable {
    /// Words for each thing done.
    package var done: [String] = []
    /// Words for each thing that did not work.
    package var failures: [String] = []
    /// Whether the next piece is to be done at once.
    package var hasMore = false

    package init() {}
}

/// What is not finished.
package struct Unfinished: Sendable, Equatable {
    /// Waits, runs or is to be tried again.
    package let due: Int
    /// Enqueued for a later time.
    package let scheduled: Int
    /// Waits, of a paused job type or in a paused queue.
    package let paused: Int

    package init(due: Int, scheduled: Int = 0, paused: Int = 0) {
        self.due = due
        self.scheduled = scheduled
        self.paused = paused
    }
}
