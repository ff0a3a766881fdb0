/// What became of a write-back.
package struct FinishReceipt: Sendable, Equatable {
    /// Recorded, by this call or by an earlier one whose answer was lost.
    package var recorded: [Int64] = []
    /// Refused: the lease no longer held them, another worker has them or had them.
    package var stale: [Int64] = []

    package init(recorded: [Int64] = [], stale: [Int64] = []) {
        self.recorded = recorded
        self.stale = stale
    }
}

package struct HeartbeatReply: Sendable, Equatable {
    /// Of the leases asked for, those that the worker still owns: work on all others is in vain.
    package let owned: Set<LeaseID>

    package init(owned: Set<LeaseID>) {
        self.owned = owned
    }
}

/// What was taken back from workers that went silent.
package struct RescueSummary: Sendable, Equatable {
    package let leases: Int
    /// Documents ready again, in the lanes of suspects.
    package let suspects: Int
    /// Documents given up: four workers went silent with them.
    package let dead: Int

    package init(leases: Int, suspects: Int, dead: Int) {
        self.leases = leases
        self.suspects = suspects
        self.dead = dead
    }
}
