internal import Foundation
internal import Postgres

/// Other queues on the same server, measured by a program of their own language.
package enum QueuePeers {
    package struct Rate: Sendable, Codable {
        package let queue: String
        package let workers: Int
        package let documents: Int
        package let documentsPerSecond: Double
        /// The settings that make it fast.
        package let configuration: String
    }

    /// - Parameter command: gets a database's URL, the workers and the documents as further
    ///   arguments and prints an array of `Rate` as JSON.
    package static func run(
        _ command: [String], _ server: BenchServer, workers: Int, documents: Int
    ) async throws -> [Rate] {
        let database = try await server.database("peers", migrated: false)
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = command + [database.url, String(workers), String(documents)]
        let output = Pipe()
        process.standardOutput = output
        try process.run()
        let text = output.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        await database.sql.close()
        try await server.drop("peers")
        guard process.terminationStatus == 0 else {
            throw QueuePeersFailure(command: command, status: process.terminationStatus)
        }
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        return try decoder.decode([Rate].self, from: text)
    }
}

struct QueuePeersFailure: Error, CustomStringConvertible {
    let command: [String]
    let status: Int32

    var description: String {
        "expected '\(command.joined(separator: " "))' to measure other queues, got status \(status)"
    }
}
