package import Migrations
package import Postgres

/// Brings the schema of the queue to the version that this program knows, and refuses any other.
package struct SchemaMigrator: Sendable {
    private let migrations: [Migration]

    package init(_ migrations: [Migration] = Migration.all) {
        self.migrations = migrations
    }

    package var version: Int { migrations.last?.version ?? 0 }

    /// Applies the missing steps, each in a transaction of its own, and returns them. Programs that
    /// migrate at the same time wait for each other. Running workers go on: a step that does not
    /// get the lock of a table within two seconds lets them pass and tries again.
    ///
    /// - Throws: `SchemaMismatch`, or `DatabaseError`.
    package func migrate(_ connection: DatabaseConnection) async throws -> [Migration] {
        let encoding: String = try await connection.query("SHOW server_encoding").single()
        guard encoding == "UTF8" else { throw SchemaMismatch.encoding(found: encoding) }
        var applied: [Migration] = []
        try await create(connection)
        while let migration = try await applyNext(connection) { applied.append(migration) }
        return applied
    }

    /// Throws `SchemaMismatch` unless the schema is exactly the one that this program knows.
    package func check(_ connection: DatabaseConnection) async throws {
        let found = try await verify(connection)
        guard found == version else {
            throw SchemaMismatch.older(
                found: found, known: version, schema: connection.settings.schemaName)
        }
    }

    private func create(_ connection: DatabaseConnection) async throws {
        try await connection.transaction { connection in
            try connection.query("SELECT pg_advisory_xact_lock($1)", [.int(Self.lock)])
            let name = connection.settings.schemaName
            let exists: Bool = try connection.query(
                "SELECT to_regnamespace($1) IS NOT NULL", [.text(name)]
            ).single()
            // Somebody with more rights may have created it for a user who may not create schemas.
            if !exists { try connection.script("CREATE SCHEMA l2s", name: "CREATE SCHEMA \(name)") }
            let isForeign: Bool = try connection.query(
                """
                SELECT to_regclass('l2s.migration') IS NULL AND (
                    EXISTS (SELECT FROM pg_class c WHERE c.relnamespace = s.id)
                    OR EXISTS (SELECT FROM pg_proc f WHERE f.pronamespace = s.id))
                FROM to_regnamespace('l2s') AS s(id)
                """
            ).single()
            guard !isForeign else { throw SchemaMismatch.foreign(schema: name) }
            try connection.script(
                """
                SET LOCAL client_min_messages = warning;
                CREATE TABLE IF NOT EXISTS l2s.migration (
                    version    integer PRIMARY KEY,
                    name       text NOT NULL,
                    checksum   text NOT NULL,
                    applied_at timestamptz NOT NULL DEFAULT clock_timestamp()
                );
                COMMENT ON TABLE l2s.migration IS 'The steps that made this schema.';
                """, name: "the creation of schema \(name)")
        }
    }

    /// Applies the next step and returns it; nil if none is missing.
    private func applyNext(_ connection: DatabaseConnection) async throws -> Migration? {
        for number in 1... {
            do {
                return try await connection.transaction { connection in
                    try connection.query("SELECT pg_advisory_xact_lock($1)", [.int(Self.lock)])
                    let found = try verify(connection)
                    guard let next = migrations.first(where: { $0.version > found }) else {
                        return nil
                    }
                    // While a step waits for a table, all later statements on the table wait, too.
                    try connection.query("SET LOCAL lock_timeout = '2s'")
                    // A database may ask for extra checks. They are meant for its own functions.
                    try connection.query("SET LOCAL plpgsql.extra_errors = 'none'")
                    try connection.script(next.sql, name: "migration \(next.name)")
                    // PostgreSQL lets everybody call a new function; l2s.grant_roles comes later.
                    try connection.script(
                        "REVOKE ALL ON ALL FUNCTIONS IN SCHEMA l2s FROM PUBLIC",
                        name: "the rights after migration \(next.name)")
                    try connection.query(
                        """
                        INSERT INTO l2s.migration (version, name, checksum)
                        VALUES ($1, $2, encode(sha256(convert_to($3, 'UTF8')), 'hex'))
                        """,
                        [.int(next.version), .text(next.name), .text(next.sql)])
                    return next
                }
            } catch let error as DatabaseError {
                guard error.refusal?.sqlState == "55P03", number < Self.lockTries else {
                    throw error
                }
            }
        }
        return nil
    }

    /// Returns the schema's version after it has checked that this program has the same text for
    /// each applied step.
    private func verify(_ connection: isolated DatabaseConnection) throws -> Int {
        let exists: Bool = try connection.query(
            "SELECT to_regclass('l2s.migration') IS NOT NULL"
        ).single()
        guard exists else { return 0 }
        let rows = try connection.query(
            """
            SELECT m.version, m.name,
                   m.checksum = encode(sha256(convert_to(known.sql, 'UTF8')), 'hex') AS same
            FROM l2s.migration m
            LEFT JOIN unnest($1::integer[], $2::text[]) AS known(version, sql) USING (version)
            ORDER BY m.version
            """,
            [.ints(migrations.map { Int64($0.version) }), .texts(migrations.map(\.sql))])
        let found: Int = try rows.last?.value("version") ?? 0
        let schema = connection.settings.schemaName
        if try rows.first?.value("name") == Self.firstBeforeTheBaseline {
            throw SchemaMismatch.beforeTheBaseline(found: found, schema: schema)
        }
        guard found <= version else {
            throw SchemaMismatch.newer(found: found, known: version, schema: schema)
        }
        for row in rows where try row.optional("same", as: Bool.self) != true {
            throw SchemaMismatch.changed(name: try row.value("name"))
        }
        return found
    }

    /// The first of the 27 development steps that the baseline replaced before version 0.1.0.
    private static let firstBeforeTheBaseline = "0001_jobs"
    /// The key of the advisory lock, the bytes of "l2s_migr". Any number that nobody else uses
    /// would do.
    private static let lock: Int64 = 0x6c32_735f_6d69_6772
    /// How often a step tries to get its locks: about two minutes at two seconds each.
    private static let lockTries = 60
}

/// Why this program and a database do not fit together.
package enum SchemaMismatch: Error, Equatable {
    case older(found: Int, known: Int, schema: String = "l2s")
    case newer(found: Int, known: Int, schema: String = "l2s")
    /// A step was applied whose text differs from this program's.
    case changed(name: String)
    case encoding(found: String)
    /// A development version made the schema. Its steps are no longer known.
    case beforeTheBaseline(found: Int, schema: String = "l2s")
    /// The schema holds tables or functions of somebody else.
    case foreign(schema: String)
}

extension SchemaMismatch: CustomStringConvertible {
    package var description: String {
        switch self {
        case .older(let found, let known, let schema):
            "schema \(schema) is version \(found), this program knows \(known): run l2s migrate"
        case .newer(let found, let known, let schema):
            "schema \(schema) is version \(found), this program knows \(known): use a newer l2s"
        case .changed(let name):
            "migration \(name) was applied to this database with another text than the one in this "
                + "program: use the l2s that applied it"
        case .encoding(let found):
            "expected the database's encoding to be UTF8, got \(found): "
                + "create one with ENCODING 'UTF8' TEMPLATE template0"
        case .beforeTheBaseline(let found, let schema):
            "schema \(schema) is version \(found) of a development version before 0.1.0, which is no "
                + "longer supported: keep its results, if you need them, with \"COPY (SELECT * FROM "
                + "\(schema).jobs) TO STDOUT\", then DROP SCHEMA \(schema) CASCADE and run l2s "
                + "migrate, or name another schema with --schema (L2S_SCHEMA)"
        case .foreign(let schema):
            "schema \(schema) holds something else than a queue: name one that is empty or not there "
                + "yet with --schema (L2S_SCHEMA)"
        }
    }
}
