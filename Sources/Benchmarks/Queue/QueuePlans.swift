internal import Foundation
internal import Postgres

/// How long it takes to claim and to finish a batch when the planner has no statistics or wrong
/// ones, or plans in another way.
package struct QueuePlans: Sendable, Encodable {
    package let circumstance: String
    package let claim: Percentiles
    package let finish: Percentiles
    /// Scans of a whole table among queue, document and result: there must be none.
    package let fullScans: [String]
    /// The plan of every statement inside one claim and one finish, as auto_explain prints it.
    package let plans: [String]

    private struct Circumstance {
        let name: String
        /// A statement that is run once before.
        var statistics = "SELECT"
        /// libpq's `options` of the worker's connections.
        var options = ""
    }

    private static let circumstances = [
        Circumstance(name: "analyzed while empty"),
        Circumstance(name: "never analyzed", statistics: "DELETE FROM pg_statistic"),
        Circumstance(name: "analyzed", statistics: "ANALYZE"),
        Circumstance(name: "generic plans", options: "-c plan_cache_mode=force_generic_plan"),
        Circumstance(name: "JIT on", options: "-c jit=on -c jit_above_cost=0"),
    ]

    package static func all(
        _ server: BenchServer, waiting: Int, finished: Int, batch: Int, claims: Int
    ) async throws -> [QueuePlans] {
        let database = try await server.database("plans")
        // Only this benchmark changes the statistics, not autovacuum.
        try await database.sql.script(
            """
            ALTER TABLE l2s.queue SET (autovacuum_enabled = off);
            ANALYZE;
            """, name: "the statistics")
        try await database.fill(finished: finished)
        try await database.fill(waiting: waiting)
        var results: [QueuePlans] = []
        for circumstance in circumstances {
            try await database.sql.query(circumstance.statistics)
            let options = circumstance.options
            let times = try await BatchTimer(database, batch: batch, options: options)
                .run(claims, refilling: true)
            let position = try server.log().count
            _ = try await BatchTimer(database, batch: batch, options: options + explaining)
                .run(1, refilling: false)
            let plans = try server.log().dropFirst(position).map { String($0) }
            let scan = /Seq Scan on (queue|document|result)/
            results.append(
                QueuePlans(
                    circumstance: circumstance.name, claim: Percentiles(times.claim),
                    finish: Percentiles(times.finish),
                    fullScans: plans.filter { $0.firstMatch(of: scan) != nil }, plans: plans))
        }
        await database.sql.close()
        try await server.drop("plans")
        return results
    }

    private static let explaining =
        " -c session_preload_libraries=auto_explain -c auto_explain.log_min_duration=0"
        + " -c auto_explain.log_nested_statements=on -c auto_explain.log_analyze=on"
}
