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
        Migration(7, "0007_shape", PackageResources._007_shape_sql),
        Migration(8, "0008_enqueue", PackageResources._008_enqueue_sql),
        Migration(9, "0009_claim", PackageResources._009_claim_sql),
        Migration(10, "0010_finish", PackageResources._010_finish_sql),
        Migration(11, "0011_return", PackageResources._011_return_sql),
        Migration(12, "0012_control", PackageResources._012_control_sql),
        Migration(13, "0013_bounds", PackageResources._013_bounds_sql),
        Migration(14, "0014_parts", PackageResources._014_parts_sql),
        Migration(15, "0015_results", PackageResources._015_results_sql),
        Migration(16, "0016_retention", PackageResources._016_retention_sql),
        Migration(17, "0017_roles", PackageResources._017_roles_sql),
        Migration(18, "0018_agreement", PackageResources._018_agreement_sql),
        Migration(19, "0019_lean_claim", PackageResources._019_lean_claim_sql),
        Migration(20, "0020_lean_complete", PackageResources._020_lean_complete_sql),
        Migration(21, "0021_self_pause", PackageResources._021_self_pause_sql),
        Migration(22, "0022_open_groups", PackageResources._022_open_groups_sql),
        Migration(23, "0023_millions", PackageResources._023_millions_sql),
        Migration(24, "0024_mixed_suspects", PackageResources._024_mixed_suspects_sql),
        Migration(25, "0025_held", PackageResources._025_held_sql),
        Migration(26, "0026_write_back", PackageResources._026_write_back_sql),
        Migration(27, "0027_empty_key", PackageResources._027_empty_key_sql),
    ]

    private init(_ version: Int, _ name: String, _ file: [UInt8]) {
        self.init(version: version, name: name, sql: String(decoding: file, as: UTF8.self))
    }
}
