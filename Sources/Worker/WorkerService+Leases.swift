internal import Jobs

extension WorkerService {
    /// The heartbeat, also of a worker without leases.
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
            // A lease survives two renewals that fail.
            try await time.pause(sent + configuration.leaseDuration / 3)
        }
    }

    /// Apart from the heartbeat, because that may be stuck in a call.
    func fenceLeases() async throws {
        while true {
            act { $0.fence(now: time.now()) }
            // A lease that is not there yet will not be due earlier than this.
            let latest = time.now() + configuration.leaseDuration / 2
            try await time.pause(min(held(\.nextFence) ?? latest, latest))
        }
    }
}
