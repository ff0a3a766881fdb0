import Benchmarks

/// What `l2s bench queue` measured, for programs and for people.
struct QueueReport: Encodable {
    let machine: Machine
    let settings: [String: String]
    var costs: [QueueCost] = []
    var floors: [QueueFloor] = []
    var peers: [QueuePeers.Rate] = []
    var enqueue: EnqueueRate?
    var pickUp: PickUp?
    var recovery: CrashRecovery?
    var depths: [ClaimTimes] = []
    var snapshot: SnapshotCost?
    var plans: [QueuePlans] = []
    var results: ResultReads?
    var retention: RetentionCost?
    var steady: SteadyLoad?
}

extension QueueReport {
    var throughputTable: String {
        var table = Columns(
            ["workers", "batch", "documents/s", "database µs", "WAL bytes"].map { ($0, .right) })
        for cost in costs {
            table.add([
                "\(cost.workers)", "\(cost.batch)", cost.documentsPerSecond.rounded(digits: 0),
                cost.databaseMicroseconds.rounded(digits: 1), cost.walBytes.rounded(digits: 0),
            ])
        }
        return "claim and finish of documents of one byte; the costs are per document\n"
            + table.text
    }

    var floorLine: String {
        guard let best = floors.max(by: { $0.documentsPerSecond < $1.documentsPerSecond }) else {
            return ""
        }
        return "the least a queue can do, taking texts from plain tables and inserting outputs, in "
            + "batches of 64:\n\(best.documentsPerSecond.rounded(digits: 0)) documents/s with "
            + "\(best.workers) workers, \(best.databaseMicroseconds.rounded(digits: 1)) "
            + "database µs per document"
    }

    var peersTable: String {
        var table = Columns([
            ("queue", .left), ("workers", .right), ("documents/s", .right),
            ("configuration", .left),
        ])
        for peer in peers {
            table.add([
                peer.queue, "\(peer.workers)", peer.documentsPerSecond.rounded(digits: 0),
                peer.configuration,
            ])
        }
        let fastest = peers.map(\.documentsPerSecond).max() ?? .nan
        let ours = costs.filter { $0.batch == 64 }.map(\.documentsPerSecond).max() ?? .nan
        return table.text
            + "\nthe fastest of l2s in batches of 64 over the fastest of them: "
            + "\((ours / fastest).rounded(digits: 1)) ×"
    }

    var enqueueLines: String {
        guard let enqueue else { return "" }
        return """
            l2s.enqueue, \(enqueue.clients) clients, a commit each, documents/s
              no worker                \(enqueue.withoutWorker.rounded(digits: 0))
              a worker, with NOTIFY    \(enqueue.withWorker.rounded(digits: 0))
              a worker, without        \(enqueue.withoutWake.rounded(digits: 0))
              with over without        \(enqueue.wakeRatio.rounded(digits: 2))
            """
    }

    var pickUpLines: String {
        guard let pickUp else { return "" }
        return """
            pick-up by an idle worker, ms, \(pickUp.documents) documents
              by NOTIFY    \(Self.words(pickUp.notified))
              by polling   \(Self.words(pickUp.polled))
            """
    }

    var recoveryLine: String {
        guard let recovery else { return "" }
        return "documents of a dead worker, lease \(recovery.leaseSeconds.rounded(digits: 0)) s: "
            + "taken up by another after \(recovery.seconds.p50.rounded(digits: 2)) s, "
            + "at most \(recovery.seconds.maximum.rounded(digits: 2)) s"
    }

    var depthTable: String {
        var table = Columns(
            ["waiting", "finished", "claim p50", "claim p99", "finish p50", "finish p99"]
                .map { ($0, .right) })
        for times in depths { table.add(Self.row(times)) }
        return "ms for 256 documents, 100 claims\n" + table.text
    }

    var snapshotLines: String {
        guard let snapshot else { return "" }
        var table = Columns(
            ["waiting", "passed", "claim p50", "claim p99", "finish p50", "finish p99"]
                .map { ($0, .right) })
        table.add(Self.row(snapshot.free))
        table.add(Self.row(snapshot.held))
        let ratio = snapshot.held.claim.p99 / snapshot.free.claim.p99
        return "ms for 256 documents, without and with a snapshot held all the while\n" + table.text
            + "\nclaim p99 with over without: \(ratio.rounded(digits: 2))"
    }

    var plansTable: String {
        var table = Columns([
            ("statistics", .left), ("claim p50", .right), ("claim p99", .right),
            ("finish p50", .right), ("finish p99", .right), ("full scans", .right),
        ])
        for plan in plans {
            table.add([
                plan.circumstance, plan.claim.p50.rounded(digits: 1),
                plan.claim.p99.rounded(digits: 1), plan.finish.p50.rounded(digits: 1),
                plan.finish.p99.rounded(digits: 1), "\(plan.fullScans.count)",
            ])
        }
        return "ms for 256 documents\n" + table.text
    }

    var resultsTable: String {
        guard let results else { return "" }
        var table = Columns([
            ("", .left), ("first", .right), ("again", .right), ("rows read", .right),
        ])
        for reading in results.readings {
            table.add([
                reading.question, reading.first.rounded(digits: 1),
                reading.median.rounded(digits: 1), reading.rows.grouped,
            ])
        }
        return "ms, with \(results.results.grouped) results of twelve weeks and "
            + "\(results.waiting.grouped) documents waiting\n" + table.text
    }

    var retentionTable: String {
        guard let retention else { return "" }
        var table = Columns([
            ("", .left), ("p50", .right), ("p99", .right), ("at most", .right),
            ("p50 with maintain", .right), ("p99", .right), ("at most", .right),
        ])
        for (name, alone, beside) in [
            ("enqueue", retention.alone.enqueue, retention.beside.enqueue),
            ("claim", retention.alone.claim, retention.beside.claim),
            ("finish", retention.alone.finish, retention.beside.finish),
        ] {
            table.add(
                [name]
                    + [alone, beside].flatMap { [$0.p50, $0.p99, $0.maximum] }
                    .map { $0.rounded(digits: 1) })
        }
        return "ms at \(retention.rate) documents/s with a key each; l2s.maintain deleted "
            + "\(retention.keys.grouped) keys and dropped their part in "
            + "\(retention.pieces.count.grouped) calls, \(retention.seconds.rounded(digits: 0)) s\n"
            + table.text
    }

    static func line(_ sample: SteadyLoad.Sample) -> String {
        "\(sample.seconds.rounded(digits: 0)) s: \(sample.finished) finished, "
            + "\(sample.waiting) waiting, queue \(sample.queue / 1024) KiB "
            + "(\(sample.deadQueueRows) dead rows), lease \(sample.lease / 1024) KiB, "
            + "worker \(sample.worker / 1024) KiB, "
            + "p99 in the queue \(sample.queueMillisecondsP99.rounded(digits: 0)) ms"
    }

    private static func row(_ times: ClaimTimes) -> [String] {
        [times.waiting.grouped, times.finished.grouped]
            + [times.claim.p50, times.claim.p99, times.finish.p50, times.finish.p99]
            .map { $0.rounded(digits: 1) }
    }

    private static func words(_ times: Percentiles) -> String {
        "p50 \(times.p50.rounded(digits: 1)), p99 \(times.p99.rounded(digits: 1)), "
            + "at most \(times.maximum.rounded(digits: 1))"
    }
}

extension Columns {
    fileprivate var text: String { lines.joined(separator: "\n") }
}
