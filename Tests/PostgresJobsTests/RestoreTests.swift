import Jobs
import LocalPostgres
import Postgres
import PostgresJobs
import TestSupport
import Testing

/// Each cluster counts its transactions by itself. An order that rests on these numbers must
/// survive a restore into another cluster and a recovery to an earlier time.
@Suite(.timeLimit(.minutes(5))) struct RestoreTests {
    /// Finishes so many documents of group g.
    private func finish(_ count: Int, _ queue: QueueFixture) async throws {
        let worker = try await queue.worker()
        try await queue.sql.query(
            #"SELECT l2s.enqueue('summarize', 'x', "group" => 'g') FROM generate_series(1, $1)"#,
            [.int(count)])
        try await worker.complete(try #require(try await worker.claim()))
        await worker.store.close()
    }

    private func keys(_ queue: QueueFixture, after: String? = nil) async throws -> [String] {
        try await QueueClient(queue.sql).completed(after: after, group: "g").compactMap(\.key)
    }

    private func finished(_ queue: QueueFixture) async throws -> Int {
        try await queue.sql.query("SELECT coalesce(sum(succeeded), 0) FROM l2s.count_finished()")
            .single()
    }

    @Test func theStreamGoesOnInAYoungerCluster() async throws {
        let old = try await QueueFixture(try await TestDatabase.onOwnServer())
        // Raises the counter of the old cluster.
        try await old.sql.script(
            """
            CREATE PROCEDURE burn() LANGUAGE plpgsql AS
            'BEGIN FOR i IN 1..5000 LOOP PERFORM pg_current_xact_id(); COMMIT; END LOOP; END';
            """, name: "a procedure that uses transactions up")
        try await old.sql.query("CALL burn()")
        try await finish(10, old)
        try await old.sql.query("SELECT l2s.tally_results()")
        var past: [String] = []
        try await eventually("all are shown") {
            past = try await keys(old)
            return past.count == 10
        }

        let empty = try await TestDatabase.onOwnServer(migrated: false)
        try await copy(old.database, to: empty)
        let young = try await QueueFixture(empty)
        // A reader is refused until the cluster is adopted.
        let error = await #expect(throws: DatabaseError.self) { try await keys(young) }
        #expect(error?.refusal?.message.contains("the database was restored or moved") == true)
        #expect(try await QueueClient(young.sql).adoptCluster())
        #expect(try await !QueueClient(young.sql).adoptCluster())

        #expect(try await keys(young) == past)
        #expect(try await finished(young) == 10)
        try await finish(5, young)
        try await eventually("new ones come behind a key from before") {
            try await keys(young, after: past.last).count == 5
        }
        #expect(try await finished(young) == 15)
        try await eventually("they are tallied once") {
            try await young.sql.query("SELECT l2s.tally_results()")
            return try await young.count(
                "l2s.result WHERE written_in >= (SELECT until FROM l2s.tallied)") == 0
        }
        #expect(try await finished(young) == 15)
        try await eventually("the group is complete") {
            try await QueueClient(young.sql).completion(ofGroup: "g") == .shown
        }
        await young.sql.close()
        await old.sql.close()
    }

    /// A worker adopts the cluster when it connects, before it writes anything.
    @Test func aWorkerBeginsTheEpoch() async throws {
        let queue = try await QueueFixture()
        try await finish(2, queue)
        try await queue.sql.query(
            "UPDATE l2s.result SET written_in = written_in + 1000000")
        try await queue.sql.query("UPDATE l2s.cluster SET identity = 'elsewhere'")
        try await finish(3, queue)
        try await eventually("all are shown, the new ones last") {
            try await QueueClient(queue.sql).completed(after: nil, group: "g").map(\.id)
                == [1, 2, 3, 4, 5]
        }
        #expect(try await queue.sql.query("SELECT epoch FROM l2s.cluster").single() == 1)
    }

    private func copy(_ from: TestDatabase, to: TestDatabase) async throws {
        let folder = try PrivateServer.programsFolder
        let file = try ScratchFolder()
        let dump = try await BuiltProgram(path: folder + "/pg_dump").run([
            "-Fc", "--no-owner", "--no-privileges", "--schema", "l2s", "--file",
            file.path + "/dump", from.connectionString,
        ])
        #expect(dump.status == 0, "\(dump.remarks)")
        let restore = try await BuiltProgram(path: folder + "/pg_restore").run([
            "--no-owner", "--no-privileges", "--exit-on-error", "--dbname", to.connectionString,
            file.path + "/dump",
        ])
        #expect(restore.status == 0, "\(restore.remarks)")
    }
}
