internal import Jobs

extension WorkerService {
    /// Sends the heartbeat, also when the worker has no leases.
    func renewLeases(_ worker: WorkerID) async throws {
        while true {
            let sent = time.now()
            let leases = held(\.leases)
            let isDraining = currentProgress != .working
            let reply = try await ask(.heartbeat, "renew leases") {
                try await $0.renew(worker, leases: leases, draining: isDraining, load: load())
            }
            guard let reply else { continue }
            act { $0.renewed(leases, reply, sent: sent) }
            // At a third of the duration, a lease survives two renewals that fail.
            try await time.pause(sent + configuration.leaseDuration / 3)
        }
    }

    /// Recalls documents of leases that were not renewed in time. This is a loop of its own,
    /// because the heartbeat may be stuck in a call.
    func fenceLeases() async throws {
        while true {
            act { $0.fence(now: time.now()) }
            // No lease that is claimed meanwhile will be due before this.
            let latest = time.now() + configuration.leaseDuration / 2
            try await time.pause(min(held(\.nextFence) ?? latest, latest))
        }
    }
}
