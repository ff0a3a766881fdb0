import Migrations
import Postgres
import PostgresJobs
import TestSupport
import Testing

@Suite struct SchemaMigratorTests {
    private let first = Migration(version: 1, name: "0001_a", sql: "CREATE TABLE l2s.a (i integer)")
    private let second = Migration(
        version: 2, name: "0002_b", sql: "CREATE TABLE l2s.b (i integer)")

    @Test func appliesWhatIsMissingOnce() async throws {
        let connection = try await TestDatabase(migrated: false).connect()
        #expect(try await SchemaMigrator([first]).migrate(connection).map(\.version) == [1])
        let both = SchemaMigrator([first, second])
        #expect(try await both.migrate(connection).map(\.version) == [2])
        #expect(try await both.migrate(connection).isEmpty)
        try await both.check(connection)
    }

    @Test func programsThatMigrateAtOnceWaitForEachOther() async throws {
        let database = try await TestDatabase(migrated: false)
        let applied = try await withThrowingTaskGroup(of: Int.self) { group in
            for _ in 0..<4 {
                group.addTask {
                    try await SchemaMigrator().migrate(try await database.connect()).count
                }
            }
            return try await group.reduce(0, +)
        }
        #expect(applied == Migration.all.count)
    }

    @Test func refusesAnOlderANewerAndAChangedSchema() async throws {
        let connection = try await TestDatabase(migrated: false).connect()
        await #expect(throws: SchemaMismatch.older(found: 0, known: 1)) {
            try await SchemaMigrator([first]).check(connection)
        }
        _ = try await SchemaMigrator([first, second]).migrate(connection)
        await #expect(throws: SchemaMismatch.newer(found: 2, known: 1)) {
            try await SchemaMigrator([first]).migrate(connection)
        }
        try await connection.connect()
        let changed = Migration(version: 2, name: "0002_b", sql: "SELECT 1")
        await #expect(throws: SchemaMismatch.changed(name: "0002_b")) {
            try await SchemaMigrator([first, changed]).check(connection)
        }
        #expect(
            SchemaMismatch.older(found: 0, known: 1).description
                == "schema l2s is version 0, this program knows 1: run l2s migrate")
    }

    @Test func aFailedStepLeavesTheSchemaAtTheStepBefore() async throws {
        let database = try await TestDatabase(migrated: false)
        let broken = Migration(
            version: 2, name: "0002_b", sql: "CREATE TABLE l2s.b (i integer); SELECT 1/0")
        let error = await #expect(throws: DatabaseError.self) {
            try await SchemaMigrator([first, broken]).migrate(try await database.connect())
        }
        #expect(error?.refusal?.statement == "migration 0002_b")
        let connection = try await database.connect()
        try await SchemaMigrator([first]).check(connection)
        #expect(
            try await connection.query("SELECT to_regclass('l2s.b') IS NULL").single() == true)
    }

    @Test func aSchemaFromBeforeTheBaselineIsRefusedWithWhatToDo() async throws {
        let connection = try await TestDatabase(migrated: false).connect()
        _ = try await SchemaMigrator([first]).migrate(connection)
        try await connection.query("UPDATE l2s.migration SET name = '0001_jobs'")
        let error = await #expect(throws: SchemaMismatch.beforeTheBaseline(found: 1)) {
            try await SchemaMigrator().migrate(connection)
        }
        #expect(error?.description.contains("DROP SCHEMA l2s CASCADE") == true)
        try await connection.connect()
        await #expect(throws: SchemaMismatch.beforeTheBaseline(found: 1)) {
            try await SchemaMigrator().check(connection)
        }
    }

    /// By default, PostgreSQL lets everybody call a new function.
    @Test func noFunctionIsEverybodysWhileRolesHaveNoRightsYet() async throws {
        let connection = try await TestDatabase().connect()
        let open = try await connection.query(
            """
            SELECT f.proname FROM pg_proc f
            WHERE f.pronamespace = 'l2s'::regnamespace AND has_function_privilege('public', f.oid, 'EXECUTE')
            """
        ).map { try $0.value("proname", as: String.self) }
        #expect(open.isEmpty)
    }

    @Test func aWorkerRefusesADatabaseThatWasNotMigrated() async throws {
        let database = try await TestDatabase(migrated: false)
        await #expect(throws: SchemaMismatch.older(found: 0, known: SchemaMigrator().version)) {
            try await FixtureWorker(database)
        }
    }
}
