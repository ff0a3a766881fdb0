import Foundation
import Jobs
import LocalPostgres
import Postgres
import PostgresJobs
import Programs
import Settings

/// The demo's own server, and what the demo does there.
struct DemoDatabase {
    struct Job {
        let id: Int64
        let place: DemoRun.Place
    }

    let url: DatabaseURL
    /// The folder of the server's data and the worker's log.
    let folder: String
    let connection: DatabaseConnection

    init(folder: String) async throws {
        let isNew = !FileManager.default.fileExists(atPath: folder + "/data")
        Console.print(
            isNew
                ? "Making a PostgreSQL server of the demo's own in \(folder)"
                : "Using the demo's PostgreSQL server in \(folder) again")
        let server = try await blocking { try PrivateServer.start(folder: folder) }
        guard let url = DatabaseURL(server.connectionString()) else {
            throw Failure("expected \(folder) to be a path that fits a database URL")
        }
        self.url = url
        self.folder = folder
        connection = try await connect(to: url)
    }

    /// Makes the schema, the job types and the table of samples.
    func prepare(_ samples: DemoSamples) async throws {
        let applied: Int
        do {
            applied = try await SchemaMigrator().migrate(connection).count
        } catch let mismatch as SchemaMismatch {
            throw Failure(
                "\(mismatch), or start the demo afresh: l2s demo --stop, then delete \(folder)")
        }
        try await JobTypeTable.write(samples.jobTypes, connection)
        Console.print(
            applied == 0
                ? "Schema l2s is at version \(schemaVersion) already"
                : "Created schema l2s, version \(schemaVersion)")
        try await connection.script(
            """
            SET client_min_messages = warning;
            CREATE TABLE IF NOT EXISTS sample (
                job_type text, name text, body text NOT NULL, PRIMARY KEY (job_type, name));
            RESET client_min_messages;
            """, name: "the creation of table sample")
        try await connection.query(
            """
            INSERT INTO sample SELECT * FROM unnest($1::text[], $2::text[], $3::text[])
            ON CONFLICT (job_type, name) DO UPDATE SET body = excluded.body
            """,
            [
                .texts(samples.all.map(\.jobType)), .texts(samples.all.map(\.name)),
                .texts(samples.all.map(\.text)),
            ])
        Console.print("Put \(samples.all.count) sample documents into table sample")
    }

    /// Enqueues every sample for all of `types`, in one call for each sample, and prints the SQL.
    ///
    /// - Parameter shown: for each of `types`, the job type under which the demo shows its output.
    func enqueue(
        _ samples: DemoSamples, _ types: [String], shown: [String]
    ) async throws -> [Job] {
        // The places of table sample's rows in `samples.all`, found again by name.
        let places = Dictionary(
            uniqueKeysWithValues: samples.all.enumerated().map { index, sample in
                ("\(sample.jobType)/\(sample.name)", index)
            })
        // A job type's name needs no quoting: job files allow letters, digits, - _ and .
        let names = types.map { "'\($0)'" }
        let call =
            names.count == 1
            ? "l2s.enqueue(\(names[0]), body)"
            : "l2s.enqueue(ARRAY[\(names.joined(separator: ", "))], body)"
        Console.print("  SELECT \(call) FROM sample;")
        let array = names.count == 1 ? "ARRAY[\(call)]" : call
        let rows = try await connection.query(
            """
            SELECT s.job_type, s.name, job.id, job.number
            FROM (SELECT job_type, name, \(array) AS ids FROM sample) AS s
            CROSS JOIN unnest(s.ids) WITH ORDINALITY AS job(id, number)
            """)
        return try rows.compactMap { row -> Job? in
            let folder: String = try row.value("job_type")
            let name: String = try row.value("name")
            let number: Int = try row.value("number")
            // A sample that has left the folder since an earlier run stays in the table.
            guard let sample = places["\(folder)/\(name)"] else { return nil }
            return Job(
                id: try row.value("id"), place: .init(sample: sample, jobType: shown[number - 1]))
        }
    }

    func finished(among ids: [Int64]) async throws -> Int {
        try await connection.query(
            "SELECT count(*) FROM l2s.jobs WHERE id = ANY ($1) AND finished_at IS NOT NULL",
            [.ints(ids)]
        ).single()
    }

    /// Jobs that an interrupted run left behind.
    func unfinished() async throws -> [Int64] {
        try await connection.query(
            "SELECT id FROM l2s.jobs WHERE state IN ('waiting', 'delayed', 'running')"
        ).map { try $0.value("id") }
    }

    /// Adds what became of `jobs`, all of them finished, to `run`.
    func add(_ jobs: [Job], to run: inout DemoRun) async throws {
        let ids = jobs.map(\.id)
        let seconds: Double = try await connection.query(
            """
            SELECT extract(epoch FROM max(finished_at) - min(claimed_at))::double precision
            FROM l2s.jobs WHERE id = ANY ($1)
            """, [.ints(ids)]
        ).single()
        run.seconds += seconds
        let placeOfID = Dictionary(uniqueKeysWithValues: jobs.map { ($0.id, $0.place) })
        for report in try await QueueClient(connection).reports(ids) {
            if let place = placeOfID[report.id] { run.reports[place] = report }
        }
    }
}
