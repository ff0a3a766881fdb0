import Foundation
import Postgres
import TestSupport
import Testing

/// Faults of the database server.
@Suite(.ifFaultsAreAskedFor, .timeLimit(.minutes(20))) struct ServerFaultTests {
    @Test func theConnectionLimitIsReached() async throws {
        let stand = try await FaultStand(
            try await .onOwnServer(settings: ["max_connections": "20"]))
        let workers = [try stand.startWorker(), try stand.startWorker()]
        for worker in workers { try await stand.waitUntilRegistered(worker) }
        try await stand.enqueue(2_000)
        try await stand.waitUntilInABatch(workers[0])
        // Other clients take every connection that the workers lose.
        var hoard: [DatabaseConnection] = []
        try await eventually("no worker has a connection") {
            try await stand.ask(
                """
                SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                WHERE application_name = 'l2s-worker'
                """)
            while let connection = try? await stand.database.connect() { hoard.append(connection) }
            return try await stand.count(
                "pg_stat_activity WHERE application_name = 'l2s-worker'") == 0
        }
        #expect(!hoard.isEmpty)
        #expect(try await stand.count("l2s.queue") > 0)
        for connection in hoard { await connection.close() }
        try await stand.waitUntilEmpty(workers)
        await stand.stop(workers)
        try await stand.expectEveryDocumentFinishedOnce()
    }

    /// While the snapshot is held, vacuum can remove nothing; in the long run that takes ten minutes of
    /// load. Claims do not step over all the dead rows.
    @Test func aSnapshotIsHeldUnderLoad() async throws {
        let stand = try await FaultStand()
        let reader = try await stand.database.connect()
        try await reader.query("BEGIN ISOLATION LEVEL REPEATABLE READ")
        try await reader.query("SELECT count(*) FROM l2s.queue")
        let workers = [try stand.startWorker(), try stand.startWorker()]
        for worker in workers { try await stand.waitUntilRegistered(worker) }
        let clock = ContinuousClock()
        let end = clock.now + (FaultRun.isLong ? .seconds(600) : .zero)
        repeat {
            try await stand.enqueue(4_000)
            try await eventually("the queue runs low", within: .seconds(120)) {
                try await stand.count("l2s.queue") < 1_000
            }
        } while clock.now < end
        try await stand.waitUntilEmpty(workers, within: .seconds(240))
        try await stand.ask("VACUUM l2s.queue")
        try await eventually("vacuum could not remove the dead rows") {
            try await stand.ask(
                "SELECT n_dead_tup FROM pg_stat_user_tables WHERE relid = 'l2s.queue'::regclass"
            ).single() >= stand.documents
        }
        #expect(try await stand.count("l2s.floor") == 1)
        await reader.close()
        await stand.stop(workers)
        try await stand.expectEveryDocumentFinishedOnce()
        print("ServerFaultTests: \(stand.documents) documents under one snapshot")
    }

    /// Only the database's clock counts, however far the workers' clocks are from it.
    @Test(
        .enabled("needs libfaketime: apt install faketime") { Faketime.library != nil },
        arguments: ["-10m", "+10m"])
    func theClocksAreTenMinutesApart(shift: String) async throws {
        let stand = try await FaultStand(
            try await .onOwnServer(environment: [
                "LD_PRELOAD": try #require(Faketime.library), "FAKETIME": shift,
                "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            ]))
        let distance: Double = try await stand.ask(
            "SELECT abs(extract(epoch FROM clock_timestamp()) - $1)::double precision",
            [.double(Date().timeIntervalSince1970)]
        ).single()
        #expect(abs(distance - 600) < 60)
        let workers = [try stand.startWorker(), try stand.startWorker()]
        for worker in workers { try await stand.waitUntilRegistered(worker) }
        try await stand.enqueue(1_200)
        try await stand.waitUntilInABatch(workers[0])
        workers[0].send(SIGKILL)
        _ = await workers[0].waitForExit()
        try await stand.waitUntilEmpty([workers[1]])
        await stand.stop([workers[1]])
        try await stand.expectEveryDocumentFinishedOnce()
        #expect(try await stand.count("l2s.batch WHERE outcome = 'expired'") > 0)
        // No waiting time and no attempt includes the ten minutes.
        #expect(
            try await stand.count(
                """
                l2s.result WHERE queue_ms NOT BETWEEN 0 AND 120000
                    OR finished_at - claimed_at NOT BETWEEN interval '0' AND interval '120 s'
                """) == 0)
    }

    @Test(.enabled("needs root, to mount a small file system") { geteuid() == 0 })
    func theDiskIsFull() async throws {
        let disk = try SmallDisk(megabytes: 200)
        defer { disk.remove() }
        let database = try await TestDatabase.onOwnServer(
            folder: disk.path + "/s",
            settings: ["min_wal_size": "32MB", "max_wal_size": "48MB", "shared_buffers": "16MB"])
        let stand = try await FaultStand(database)
        let workers = [try stand.startWorker(), try stand.startWorker()]
        for worker in workers { try await stand.waitUntilRegistered(worker) }
        try await stand.enqueue(2_000)
        try await stand.waitUntilInABatch(workers[0])
        try disk.fill()
        try await eventually("a worker meets the full disk; log: \(workers[0].log)") {
            workers.contains { $0.log.contains("unavailable") }
        }
        try disk.makeRoom()
        // A server that could not write its log has ended: its operator starts it again.
        try database.startServer()
        try await stand.waitUntilEmpty(workers)
        await stand.stop(workers)
        try await stand.expectEveryDocumentFinishedOnce()
        try database.removeServer()
    }
}

private enum Faketime {
    static let library = (try? FileManager.default.contentsOfDirectory(atPath: "/usr/lib"))?
        .map { "/usr/lib/\($0)/faketime/libfaketime.so.1" }
        .first { FileManager.default.fileExists(atPath: $0) }
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

    /// Writes until the disk is full.
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
