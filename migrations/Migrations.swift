/// One forward-only step of the schema, compiled into the binaries so that a program and the
/// schema it knows cannot be separated.
package struct Migration: Sendable {
    /// 1, 2, 3 …: the schema version that a database has once this step is applied.
    package let version: Int
    package let name: String
    package let sql: String
}

extension Migration {
    /// Every migration, in order. SwiftPM turns the first digit of a file's name into an
    /// underscore when it embeds it.
    package static let all: [Migration] = [
        Migration(
            version: 1, name: "0001_jobs",
            sql: String(decoding: PackageResources._001_jobs_sql, as: UTF8.self))
    ]
}
