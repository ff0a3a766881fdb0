import Benchmarks

/// What `l2s bench worker` measured, for programs and for people.
struct WorkerBenchReport: Encodable {
    struct Round: Encodable {
        /// How many outputs each document has.
        let outputs: Int
        /// Outputs per second.
        let engine, worker: Double
        /// Seconds of all threads of the engine together.
        let reading, writing: Double
    }

    let machine: Machine
    let threads: Int
    /// How many documents a run has.
    let documents: Int
    var rounds: [Round] = []
    /// The tokens of a run with one output of each document.
    var tokens = EngineRun.Tokens()
    /// The peak of this program: the engine with the models of the measured job types.
    var enginePeakMemoryMiB = 0.0
    /// The peak of the worker: the engine with the models of all job types, and all around it.
    var workerPeakMemoryMiB = 0.0

    var text: String {
        var table = Columns([
            ("outputs/s", .left), ("engine alone", .right), ("queue and worker", .right),
            ("ratio", .right),
        ])
        func add(_ name: String, _ engine: Double, _ worker: Double, _ ratio: Double) {
            table.add([
                name, engine.rounded(digits: 1), worker.rounded(digits: 1),
                ratio.rounded(digits: 2),
            ])
        }
        let counts = rounds.reduce(into: [Int]()) {
            if !$0.contains($1.outputs) { $0.append($1.outputs) }
        }
        for outputs in counts {
            let own = rounds.filter { $0.outputs == outputs }
            let each = outputs == 1 ? "" : ", \(outputs) outputs each"
            for (index, round) in own.enumerated() {
                add(
                    "run \(index + 1)\(each)", round.engine, round.worker,
                    round.worker / round.engine)
            }
            add(
                "median\(each)", median(own.map(\.engine)), median(own.map(\.worker)),
                median(own.map { $0.worker / $0.engine }))
        }
        table.add([
            "peak memory, MiB", enginePeakMemoryMiB.rounded(digits: 0),
            workerPeakMemoryMiB.rounded(digits: 0), "",
        ])
        return
            ([
                machine.line,
                "\(documents.grouped) documents, \(tokens.read.grouped) tokens read and "
                    + "\(tokens.written.grouped) written, \(threads) threads", "",
            ] + table.lines + sharing(counts)).joined(separator: "\n")
    }

    /// Compares documents per second with those of reading once and writing each output.
    private func sharing(_ counts: [Int]) -> [String] {
        guard counts.count > 1 else { return [] }
        func own(_ outputs: Int) -> [Round] { rounds.filter { $0.outputs == outputs } }
        let single = own(1)
        let reading = median(single.map { $0.reading / ($0.reading + $0.writing) })
        var table = Columns([
            ("documents/s", .left), ("queue and worker", .right),
            ("read once, written as often", .right), ("ratio", .right), ("outputs/s", .right),
        ])
        for outputs in counts {
            let found = median(own(outputs).map(\.worker)) / Double(outputs)
            let alone =
                median(single.map(\.worker)) / (reading + (1 - reading) * Double(outputs))
            table.add([
                outputs == 1 ? "1 output each" : "\(outputs) outputs each",
                found.rounded(digits: 1), alone.rounded(digits: 1),
                (found / alone).rounded(digits: 2), (found * Double(outputs)).rounded(digits: 1),
            ])
        }
        return [
            "", "reading takes \((100 * reading).rounded(digits: 0)) % of one output's time", "",
        ]
            + table.lines
    }
}
