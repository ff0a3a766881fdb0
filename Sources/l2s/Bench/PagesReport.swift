import Benchmarks
import Foundation
import Scoring

/// What open pages cost a worker.
struct PagesReport: Encodable {
    struct Round: Encodable {
        let unwatched: WorkerTurn
        let watched: WorkerTurn
    }

    /// A mean, and its 95 % bootstrap interval.
    struct Estimate: Encodable {
        let mean: Double
        let low: Double
        let high: Double

        init(_ values: [Double]) {
            func mean(_ draw: [Int]) -> Double {
                draw.reduce(0) { $0 + values[$1] } / Double(draw.count)
            }
            self.mean = mean(Array(values.indices))
            let interval = Bootstrap(documents: values.count).interval(mean)
            (low, high) = (interval.lowerBound, interval.upperBound)
        }

        func words(digits: Int) -> String {
            func text(_ value: Double) -> String { String(format: "%.\(digits)f", value) }
            return "\(text(mean)) (95 % interval \(text(low)) to \(text(high)))"
        }
    }

    let machine: Machine
    let pages: Int
    let rounds: [Round]
    /// Documents per second when watched, divided by those when unwatched.
    let throughputRatio: Estimate
    /// Processor time that the pages cost the worker and its database connection, in percent of that
    /// of all cores.
    let workerPercent, databasePercent: Estimate
    /// Bytes that each page got per second.
    let bytesPerPage: Double

    init(machine: Machine, pages: Int, rounds: [Round], bytesPerPage: Double) {
        self.machine = machine
        self.pages = pages
        self.rounds = rounds
        self.bytesPerPage = bytesPerPage
        throughputRatio = Estimate(
            rounds.map { $0.watched.documentsPerS / $0.unwatched.documentsPerS })
        func percent(_ time: (WorkerTurn) -> Double) -> Estimate {
            Estimate(
                rounds.map { (time($0.watched) - time($0.unwatched)) / Double(10 * machine.cores) })
        }
        workerPercent = percent(\.workerMsPerS)
        databasePercent = percent(\.databaseMsPerS)
    }

    var text: String {
        var table = Columns([
            ("", .left), ("documents/s", .right), ("watched", .right), ("ratio", .right),
            ("worker ms/s", .right), ("watched", .right), ("database ms/s", .right),
            ("watched", .right),
        ])
        for (index, round) in rounds.enumerated() {
            let (alone, watched) = (round.unwatched, round.watched)
            table.add([
                "round \(index + 1)", alone.documentsPerS.rounded(digits: 1),
                watched.documentsPerS.rounded(digits: 1),
                String(format: "%.3f", watched.documentsPerS / alone.documentsPerS),
                alone.workerMsPerS.rounded(digits: 1), watched.workerMsPerS.rounded(digits: 1),
                alone.databaseMsPerS.rounded(digits: 1), watched.databaseMsPerS.rounded(digits: 1),
            ])
        }
        return
            ([machine.line, ""] + table.lines + [
                "",
                "\(pages) pages, each of which got \(bytesPerPage.rounded(digits: 0)) bytes a second:",
                "documents/s, watched over unwatched: \(throughputRatio.words(digits: 3))",
                "worker: \(workerPercent.words(digits: 2)) % of the machine's \(machine.cores) cores, "
                    + "without its lanes",
                "database: \(databasePercent.words(digits: 2)) % of them",
            ]).joined(separator: "\n")
    }
}
