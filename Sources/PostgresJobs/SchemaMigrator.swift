package import Migrations
package import Postgres

/// Brings schema `l2s` to the version that this program knows, and refuses to work with another.
package struct SchemaMigrator: Sendable {
    private let migrations: [Migration]

    package init(_ migrations: [Migration] = Migration.all) {
        self.migrations = migrations
    }

    package var version: Int { migrations.last?.version ?? 0 }

    /// Applies what is missing, each step in a transaction of its own; returns the steps applied.
    /// Programs that migrate at the same time wait for each other.
    package func migrate(_ connection: DatabaseConnection) async throws -> [Migration] {
        let encoding: String = try await connection.query("SHOW server_encoding").single()
        guard encoding == "UTF8" else { throw SchemaMismatch.encoding(found: encoding) }
        try await connection.query("SELECT pg_advisory_lock($1)", [.int(Self.lock)])
        do {
            let applied = try await applyMissing(connection)
            try await connection.query("SELECT pg_advisory_unlock($1)", [.int(Self.lock)])
            return applied
        } catch {
            // The end of the session releases the lock, whatever state it is in.
            await connection.close()
            throw error
        }
    }

    /// Throws `SchemaMismatch` unless the schema is exactly the one that this program knows.
    package func check(_ connection: DatabaseConnection) async throws {
        let found = try await verify(connection)
        guard found == version else { throw SchemaMismatch.older(found: found, known: version) }
    }

    private func applyMissing(_ connection: DatabaseConnection) async throws -> [Migration] {
        try await connection.script(
            """
            SET client_min_messages = warning;
            CREATE SCHEMA IF NOT EXISTS l2s;
            CREATE TABLE IF NOT EXISTS l2s.migration (
                version    integer PRIMARY KEY,
                name       text NOT NULL,
                checksum   text NOT NULL,
                applied_at timestamptz NOT NULL DEFAULT clock_timestamp()
            );
            COMMENT ON TABLE l2s.migration IS 'The steps that made this schema.';
            RESET client_min_messages;
            """, name: "the creation of schema l2s")
        let found = try await verify(connection)
        let missing = migrations.filter { $0.version > found }
        for migration in missing {
            try await connection.transaction { connection in
                try connection.script(migration.sql, name: "migration \(migration.name)")
                try connection.query(
                    """
                    INSERT INTO l2s.migration (version, name, checksum)
                    VALUES ($1, $2, encode(sha256(convert_to($3, 'UTF8')), 'hex'))
                    """,
                    [.int(migration.version), .text(migration.name), .text(migration.sql)])
            }
        }
        return missing
    }

    /// The version found, once every applied step is known to be the one this program has.
    private func verify(_ connection: DatabaseConnection) async throws -> Int {
        let exists: Bool = try await connection.query(
            "SELECT to_regclass('l2s.migration') IS NOT NULL"
        ).single()
        guard exists else { return 0 }
        let rows = try await connection.query(
            """
            SELECT m.version, m.name,
                   m.checksum = encode(sha256(convert_to(known.sql, 'UTF8')), 'hex') AS same
            FROM l2s.migration m
            LEFT JOIN unnest($1::integer[], $2::text[]) AS known(version, sql) USING (version)
            ORDER BY m.version
            """,
            [.ints(migrations.map { Int64($0.version) }), .texts(migrations.map(\.sql))])
        let found: Int = try rows.last?.value("version") ?? 0
        guard found <= version else { throw SchemaMismatch.newer(found: found, known: version) }
        for row in rows where try row.optional("same", as: Bool.self) != true {
            throw SchemaMismatch.changed(name: try row.value("name"))
        }
        return found
    }

    /// Any number that nobody else uses: the bytes of "l2s_migr".
    private static let lock: Int64 = 0x6c32_735f_6d69_6772
}

/// Why this program and a database do not fit together.
package enum SchemaMismatch: Error, Equatable {
    case older(found: Int, known: Int)
    case newer(found: Int, known: Int)
    /// A step was applied whose text differs from this program's.
    case changed(name: String)
    case encoding(found: String)
}

extension SchemaMismatch: CustomStringConvertible {
    package var description: String {
        switch self {
        case .older(let found, let known):
            "schema l2s is version \(found), this program knows \(known): run l2s migrate"
        case .newer(let found, let known):
            "schema l2s is version \(found), this program knows \(known): use a newer l2s"
        case .changed(let name):
            "migration \(name) was applied to this database with another text than this program "
                + "has: use the l2s that applied it"
        case .encoding(let found):
            "expected the database's encoding to be UTF8, got \(found): "
                + "create one with ENCODING 'UTF8' TEMPLATE template0"
        }
    }
}
