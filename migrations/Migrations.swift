/// One forward-only step of the schema, compiled into the binaries so that a program and the
/// schema it knows cannot be separated.
package struct Migration: Sendable {
    /// 1, 2, 3 …: the schema version that a database has once this step is applied.
    package let version: Int
    package let name: String
    package let sql: String

    package init(version: Int, name: String, sql: String) {
        self.version = version
        self.name = name
        self.sql = sql
    }
}

extension Migration {
    /// Every migration, in order. SwiftPM turns the first digit of a file's name into an
    /// underscore when it embeds it.
    package static let all: [Migration] = [
        Migration(1, "0001_jobs", PackageResources._001_jobs_sql),
        Migration(2, "0002_enqueue", PackageResources._002_enqueue_sql),
        Migration(3, "0003_moves", PackageResources._003_moves_sql),
        Migration(4, "0004_views", PackageResources._004_views_sql),
        Migration(5, "0005_watch", PackageResources._005_watch_sql),
        Migration(6, "0006_trace_context", PackageResources._006_trace_context_sql),
    ]

    private init(_ version: Int, _ name: String, _ file: [UInt8]) {
        self.init(version: version, name: name, sql: String(decoding: file, as: UTF8.self))
    }
}
