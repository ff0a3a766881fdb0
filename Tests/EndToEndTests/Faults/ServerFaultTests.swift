import Foundation
import Postgres
import TestSupport
import Testing

/// What befalls the database server.
@Suite(.ifFaultsAreAskedFor, .timeLimit(.minutes(20))) struct ServerFaultTests {
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

    /// Vacuum can remove nothing while the snapshot is held, for ten minutes of load in the long run;
    /// claims do not step over all that passed.
    @Test func aSnapshotIsHeldUnderLoad() async throws {
        let bench = try await FaultBench()
        let reader = try await bench.database.connect()
        try await reader.query("BEGIN ISOLATION LEVEL REPEATABLE READ")
        try await reader.query("SELECT count(*) FROM l2s.queue")
        let workers = [try bench.startWorker(), try bench.startWorker()]
        for worker in workers { try await bench.waitUntilRegistered(worker) }
        let clock = ContinuousClock()
        let end = clock.now + (FaultRun.isLong ? .seconds(600) : .zero)
        repeat {
            try await bench.enqueue(4_000)
            try await eventually("the queue runs low", within: .seconds(120)) {
                try await bench.count("l2s.queue") < 1_000
            }
        } while clock.now < end
        try await bench.waitUntilEmpty(workers, within: .seconds(240))
        try await bench.ask("VACUUM l2s.queue")
        try await eventually("vacuum could not remove the dead rows") {
            try await bench.ask(
                "SELECT n_dead_tup FROM pg_stat_user_tables WHERE relid = 'l2s.queue'::regclass"
            ).single() >= bench.documents
        }
        #expect(try await bench.count("l2s.floor") == 1)
        await reader.close()
        await bench.stop(workers)
        try await bench.expectEveryDocumentFinishedOnce()
        print("ServerFaultTests: \(bench.documents) documents under one snapshot")
    }

    /// Only the database's clock counts, wherever those of the workers stand.
    @Test(
        .enabled("needs libfaketime: apt install faketime") { Faketime.library != nil },
        arguments: ["-10m", "+10m"])
    func theClocksAreTenMinutesApart(shift: String) async throws {
        let bench = try await FaultBench(
            try await .onOwnServer(environment: [
                "LD_PRELOAD": try #require(Faketime.library), "FAKETIME": shift,
                "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            ]))
        let distance: Double = try await bench.ask(
            "SELECT abs(extract(epoch FROM clock_timestamp()) - $1)::double precision",
            [.double(Date().timeIntervalSince1970)]
        ).single()
        #expect(abs(distance - 600) < 60)
        let workers = [try bench.startWorker(), try bench.startWorker()]
        for worker in workers { try await bench.waitUntilRegistered(worker) }
        try await bench.enqueue(1_200)
        try await bench.waitUntilInABatch(workers[0])
        workers[0].send(SIGKILL)
        _ = await workers[0].waitForExit()
        try await bench.waitUntilEmpty([workers[1]])
        await bench.stop([workers[1]])
        try await bench.expectEveryDocumentFinishedOnce()
        #expect(try await bench.count("l2s.batch WHERE outcome = 'expired'") > 0)
        // Neither a wait nor an attempt has the ten minutes in it.
        #expect(
            try await bench.count(
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
