import Foundation
import Postgres
import TestSupport
import Testing

/// What befalls the database server.
@Suite(.ifFaultsAreAskedFor, .timeLimit(.minutes(10))) struct ServerFaultTests {
    @Test func theConnectionLimitIsReached() async throws {
        let bench = try await FaultBench(
            try await .onOwnServer(settings: ["max_connections": "20"]))
        let workers = [try bench.startWorker(), try bench.startWorker()]
        for worker in workers { try await bench.waitUntilRegistered(worker) }
        try await bench.enqueue(2_000)
        try await bench.waitUntilInABatch(workers[0])
        // Others take every place that the workers are thrown out of.
        var hoard: [DatabaseConnection] = []
        try await eventually("no worker has a connection") {
            try await bench.ask(
                """
                SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                WHERE application_name = 'l2s-worker'
                """)
            while let connection = try? await bench.database.connect() { hoard.append(connection) }
            return try await bench.count(
                "pg_stat_activity WHERE application_name = 'l2s-worker'") == 0
        }
        #expect(!hoard.isEmpty)
        #expect(try await bench.count("l2s.queue") > 0)
        for connection in hoard { await connection.close() }
        try await bench.waitUntilEmpty(workers)
        await bench.stop(workers)
        try await bench.expectEveryDocumentFinishedOnce()
    }

    /// Vacuum can remove nothing while the snapshot is held; the queue works on.
    @Test func aSnapshotIsHeldUnderLoad() async throws {
        let documents = FaultRun.isLong ? 20_000 : 2_000
        let bench = try await FaultBench()
        let reader = try await bench.database.connect()
        try await reader.query("BEGIN ISOLATION LEVEL REPEATABLE READ")
        try await reader.query("SELECT count(*) FROM l2s.queue")
        let workers = [try bench.startWorker(), try bench.startWorker()]
        for worker in workers { try await bench.waitUntilRegistered(worker) }
        try await bench.enqueue(documents)
        try await bench.waitUntilEmpty(workers, within: .seconds(240))
        try await bench.ask("VACUUM l2s.queue")
        try await eventually("vacuum could not remove the dead rows") {
            try await bench.ask(
                "SELECT n_dead_tup FROM pg_stat_user_tables WHERE relid = 'l2s.queue'::regclass"
            ).single() >= documents
        }
        await reader.close()
        await bench.stop(workers)
        try await bench.expectEveryDocumentFinishedOnce()
    }

    @Test(.enabled("needs root, to mount a small file system") { geteuid() == 0 })
    func theDiskIsFull() async throws {
        let disk = try SmallDisk(megabytes: 200)
        defer { disk.remove() }
        let database = try await TestDatabase.onOwnServer(
            folder: disk.path + "/s",
            settings: ["min_wal_size": "32MB", "max_wal_size": "48MB", "shared_buffers": "16MB"])
        let bench = try await FaultBench(database)
        let workers = [try bench.startWorker(), try bench.startWorker()]
        for worker in workers { try await bench.waitUntilRegistered(worker) }
        try await bench.enqueue(2_000)
        try await bench.waitUntilInABatch(workers[0])
        try disk.fill()
        try await eventually("a worker meets the full disk; log: \(workers[0].log)") {
            workers.contains { $0.log.contains("unavailable") }
        }
        try disk.makeRoom()
        // A server that could not write its log has ended: its operator starts it again.
        try database.startServer()
        try await bench.waitUntilEmpty(workers)
        await bench.stop(workers)
        try await bench.expectEveryDocumentFinishedOnce()
        try database.removeServer()
    }
}

/// A file system of its own, in memory.
private struct SmallDisk {
    let path: String
    private var ballast: String { path + "/ballast" }

    init(megabytes: Int) throws {
        path = "/tmp/l2s-disk-\(UUID().uuidString.prefix(8))"
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        guard mount("l2s-test", path, "tmpfs", 0, "size=\(megabytes)m,mode=755") == 0 else {
            throw POSIXError(POSIXErrorCode(rawValue: errno) ?? .EPERM)
        }
    }

    /// Until not a byte more goes in.
    func fill() throws {
        let file = open(ballast, O_WRONLY | O_CREAT, 0o600)
        guard file >= 0 else { throw POSIXError(POSIXErrorCode(rawValue: errno) ?? .EIO) }
        defer { close(file) }
        for size in [1 << 20, 4_096] {
            let zeros = [UInt8](repeating: 0, count: size)
            while write(file, zeros, size) == size {}
        }
        #expect(errno == ENOSPC)
    }

    func makeRoom() throws { try FileManager.default.removeItem(atPath: ballast) }

    func remove() {
        umount2(path, Int32(MNT_DETACH))
        try? FileManager.default.removeItem(atPath: path)
    }
}
