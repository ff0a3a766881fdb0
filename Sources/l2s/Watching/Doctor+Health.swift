import Foundation
import Jobs
import Postgres
import PostgresJobs
import Settings

extension Doctor {
    /// Findings about what may work now and fail later, each with what to do.
    func healthFindings(
        _ client: QueueClient, _ types: [JobTypeStatus], _ workers: [WorkerStatus]
    ) async throws -> [Finding] {
        let before = Date().timeIntervalSince1970
        let health = try await client.health(oldTransaction: oldTransaction)
        let clock = (before + Date().timeIntervalSince1970) / 2
        return [
            pauses(types, health), maintenance(health, workers), home(health), roles(health),
            connections(health), oldestTransaction(health), skew(clock - health.time),
            notificationQueue(health), await notifications(client),
        ]
    }

    private func pauses(_ types: [JobTypeStatus], _ health: QueueHealth) -> Finding {
        let own = types.compactMap { type in type.pausedBecause.map { "\(type.name): \($0)" } }
        guard own.isEmpty else {
            return Finding(
                verdict: .failed, check: "pauses",
                words: "paused themselves: " + own.joined(separator: "; "))
        }
        let paused =
            health.isPaused ? ["the whole queue"] : types.filter(\.paused).map(\.name)
        return Finding(
            verdict: paused.isEmpty ? .ok : .noted, check: "pauses",
            words: paused.isEmpty
                ? "none" : paused.joined(separator: ", ") + ": l2s resume ends it")
    }

    private func maintenance(_ health: QueueHealth, _ workers: [WorkerStatus]) -> Finding {
        let check = "maintenance"
        guard health.hasDocuments else {
            return Finding(verdict: .ok, check: check, words: "nothing to maintain yet")
        }
        let ago = health.maintained.map { "\(words(seconds: $0)) ago" } ?? "never"
        guard health.maintained ?? .infinity > 3600 else {
            return Finding(verdict: .ok, check: check, words: ago)
        }
        return Finding(
            verdict: workers.isEmpty ? .noted : .failed, check: check,
            words: "partitions were last maintained \(ago): "
                + (workers.isEmpty
                    ? "workers do it once a minute; without any, run l2s maintain every day"
                    : "run l2s maintain, and look for \"maintain\" in the workers' logs"))
    }

    private func home(_ health: QueueHealth) -> Finding {
        Finding(
            verdict: health.isAtHome ? .ok : .failed, check: "cluster",
            words: health.isAtHome
                ? "as when results were last written"
                : "the database was restored, moved or promoted: run l2s migrate, or start a worker; "
                    + "until then l2s.completed shows nothing")
    }

    private func notificationQueue(_ health: QueueHealth) -> Finding {
        let share = Int((health.notifications * 100).rounded())
        return Finding(
            verdict: share < 25 ? .ok : .noted, check: "notification queue",
            words: share < 25
                ? "\(share) % full"
                : "\(share) % full: a session that listens is idle in a transaction. When half of it is "
                    + "full, nothing is notified and workers poll")
    }

    private func roles(_ health: QueueHealth) -> Finding {
        Finding(
            verdict: health.missingRoles == nil ? .ok : .noted, check: "roles",
            words: health.missingRoles.map {
                "there is no \($0): run l2s migrate, which makes them or prints what a superuser has "
                    + "to run"
            } ?? "all are there")
    }

    private func connections(_ health: QueueHealth) -> Finding {
        let (used, limit) = (health.connections, health.connectionLimit)
        let words = "\(used) of \(limit) taken"
        guard used * 10 >= limit * 8 else {
            return Finding(verdict: .ok, check: "connections", words: words)
        }
        return Finding(
            verdict: used * 20 >= limit * 19 ? .failed : .noted, check: "connections",
            words: words + ": a worker takes four; raise max_connections, or put pgbouncer between"
        )
    }

    private func oldestTransaction(_ health: QueueHealth) -> Finding {
        guard let oldest = health.oldest else {
            return Finding(
                verdict: .ok, check: "old transactions",
                words: "none is open for over \(words(seconds: Double(oldTransaction)))")
        }
        return Finding(
            verdict: .failed, check: "old transactions",
            words: "process \(oldest.processID) (\(oldest.program), user \(oldest.user), "
                + "\(oldest.state)) is in one for \(words(seconds: oldest.seconds)): vacuum cannot "
                + "clean l2s.queue and claims get slower. End it, or SELECT "
                + "pg_terminate_backend(\(oldest.processID)); "
                + "idle_in_transaction_session_timeout prevents it")
    }

    /// - Parameter seconds: how far this machine's clock is ahead.
    private func skew(_ seconds: Double) -> Finding {
        let isSmall = abs(seconds) < 2
        let difference =
            "this machine's is \(words(seconds: abs(seconds))) "
            + (seconds > 0 ? "ahead of" : "behind") + " the database's"
        return Finding(
            verdict: isSmall ? .ok : .noted, check: "clocks",
            words: isSmall
                ? "as the database's"
                : difference + ": documents go by the database's alone, but logs do not match; set "
                    + "it by NTP")
    }

    private func notifications(_ client: QueueClient) async -> Finding {
        let check = "notifications"
        let isPooled = await client.connection.isPooled
        let settings: ConnectionSettings
        do {
            guard let url = try DatabaseURL.ifGiven(raw, name: .listenURL) else {
                return Finding(
                    verdict: isPooled ? .noted : .ok, check: check,
                    words: isPooled
                        ? "a pooler stands between, which passes none on: workers poll every "
                            + "--poll-interval; \(SettingName.listenURL.variable) names a direct way"
                        : "the connection is direct")
            }
            settings = try ConnectionSettings(
                url.connectionString, schema: SchemaName(raw), applicationName: "l2s")
        } catch {
            return Finding(verdict: .failed, check: check, words: "\(error)")
        }
        let listener = DatabaseConnection(settings)
        do {
            try await listener.connect()
            let words: String? =
                if await listener.isPooled {
                    "leads through a pooler, too"
                } else if try await client.reaches(listener) {
                    nil
                } else { "leads to another database" }
            await listener.close()
            return Finding(
                verdict: words == nil ? .ok : .failed, check: check,
                words: words.map {
                    "\(SettingName.listenURL.variable) \($0): expected a direct way to the database "
                        + "of \(SettingName.databaseURL.variable)"
                } ?? "arrive by \(settings.place)")
        } catch {
            return Finding(
                verdict: .failed, check: check,
                words: "\(SettingName.listenURL.variable): \(error)")
        }
    }

    private var raw: RawSettings {
        var raw = database.raw
        raw.flags[.listenURL] = listenURL
        return raw
    }

    private func words(seconds: Double) -> String {
        switch seconds {
        case ..<90: "\(Int(seconds.rounded())) s"
        case ..<5400: "\(Int((seconds / 60).rounded())) minutes"
        case ..<172_800: "\(Int((seconds / 3600).rounded())) hours"
        default: "\(Int((seconds / 86_400).rounded())) days"
        }
    }
}
