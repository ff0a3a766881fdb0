import Foundation
import Jobs
import Postgres
import PostgresJobs
import Settings

extension Doctor {
    /// Each check needs the one before it, so the first that fails is the last one made.
    func databaseFindings() async -> [Finding] {
        guard database.isNamed else {
            return [
                Finding(
                    verdict: .skipped, check: "database",
                    words: "none is named: set \(SettingName.databaseURL.variable), or run l2s demo"
                )
            ]
        }
        var findings: [Finding] = []
        var check = "database"
        do {
            let connection = try await database.openUnchecked()
            let version: String = try await connection.query("SHOW server_version").single()
            findings.append(
                Finding(
                    verdict: .ok, check: check,
                    words: "PostgreSQL \(version), \(connection.settings.place)"))
            check = "schema"
            try await SchemaMigrator().check(connection)
            findings.append(Finding(verdict: .ok, check: check, words: "version \(schemaVersion)"))
            check = "job types"
            let client = QueueClient(connection)
            let types = try await client.status()
            findings.append(compare(types))
            check = "workers"
            let workers = try await client.workers()
            findings.append(describe(workers))
            check = "health"
            findings += try await healthFindings(client, types, workers)
        } catch {
            findings.append(Finding(verdict: .failed, check: check, words: "\(error)"))
        }
        return findings
    }

    private func compare(_ known: [JobTypeStatus]) -> Finding {
        guard let folder = try? folders.installation.jobsFolder else {
            return Finding(
                verdict: .skipped, check: "job types", words: "there are no files to compare with")
        }
        let defined = Set(readJobTypes(folder: folder).jobTypes.map(\.name))
        let stored = Set(known.map(\.name))
        let missing = defined.subtracting(stored).sorted()
        guard missing.isEmpty else {
            return Finding(
                verdict: .failed, check: "job types",
                words: "the database does not know \(missing.joined(separator: ", ")): "
                    + "run l2s migrate")
        }
        let stray = known.filter { !defined.contains($0.name) }
        let stuck = stray.filter { $0.waiting + $0.delayed + $0.running > 0 }.map(\.name)
        if !stuck.isEmpty {
            return Finding(
                verdict: .failed, check: "job types",
                words: "jobs of \(stuck.joined(separator: ", ")) wait, but no file in \(folder) "
                    + "defines it: bring the file back, or name its folder with --jobs")
        }
        return Finding(
            verdict: stray.isEmpty ? .ok : .noted, check: "job types",
            words: stray.isEmpty
                ? "the database knows all \(defined.count)"
                : "only the database knows \(stray.map(\.name).joined(separator: ", "))")
    }

    private func describe(_ workers: [WorkerStatus]) -> Finding {
        Finding(
            verdict: workers.isEmpty ? .noted : .ok, check: "workers",
            words: workers.isEmpty
                ? "none is alive: start l2s-worker"
                : "\(workers.count) alive: " + workers.map(\.name).joined(separator: ", "))
    }
}
