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
    /// Every migration, in order. The first twelve are the baseline, one file for each topic;
    /// nobody has deployed what came before. When SwiftPM embeds a file, it turns the first digit
    /// of the name into an underscore.
    package static let all: [Migration] = [
        Migration(1, "0001_tables", PackageResources._001_tables_sql),
        Migration(2, "0002_enqueue", PackageResources._002_enqueue_sql),
        Migration(3, "0003_claim", PackageResources._003_claim_sql),
        Migration(4, "0004_complete", PackageResources._004_complete_sql),
        Migration(5, "0005_leases", PackageResources._005_leases_sql),
        Migration(6, "0006_control", PackageResources._006_control_sql),
        Migration(7, "0007_groups", PackageResources._007_groups_sql),
        Migration(8, "0008_counts", PackageResources._008_counts_sql),
        Migration(9, "0009_retention", PackageResources._009_retention_sql),
        Migration(10, "0010_views", PackageResources._010_views_sql),
        Migration(11, "0011_roles", PackageResources._011_roles_sql),
        Migration(12, "0012_job_types", PackageResources._012_job_types_sql),
        Migration(13, "0013_outages", PackageResources._013_outages_sql),
        Migration(14, "0014_owners", PackageResources._014_owners_sql),
        Migration(15, "0015_enqueue", PackageResources._015_enqueue_sql),
        Migration(16, "0016_comments", PackageResources._016_comments_sql),
        Migration(17, "0017_messages", PackageResources._017_messages_sql),
    ]

    private init(_ version: Int, _ name: String, _ file: [UInt8]) {
        self.init(version: version, name: name, sql: String(decoding: file, as: UTF8.self))
    }
}
