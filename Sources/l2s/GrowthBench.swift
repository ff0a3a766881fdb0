import ArgumentParser
import Benchmarks
import Foundation
import Inference
import Jobs

struct GrowthBench: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "growth",
        abstract: "Plot how cost grows: encoding with length, decoding with the batch.",
        discussion: """
            Writes growth.svg and the numbers that made it, growth.json. The dashed line is growth \
            in proportion to the first point.
            """)

    @OptionGroup var model: BenchModel

    @Option(help: "The folder for the two files.")
    var output: String

    private struct Point: Encodable {
        let size: Int
        let milliseconds: Double
    }

    private struct Report: Encodable {
        let machine: Machine
        let model: String
        let mode: String
        let dtype: String
        let threads: Int
        /// Of 8 documents, by their tokens.
        let encode: [Point]
        /// Of a step after 256 source tokens, by documents.
        let step: [Point]
    }

    func run() async throws {
        let machine = Machine()
        var settings = model.settings
        settings.newTokens = 1
        let encode = try [32, 64, 128, 256, 512, 1_024].map { length in
            settings.sourceLength = length
            Console.note("encoding 8 documents of \(length) tokens")
            let result = try model.open(settings).run(batchSize: 8)
            return Point(size: length, milliseconds: result.encodeMilliseconds)
        }
        settings.sourceLength = 256
        settings.newTokens = 32
        let benchmark = try model.open(settings)
        let step = [1, 2, 4, 8, 16, 32, 64].map { batch in
            Console.note("decoding \(batch) documents")
            let result = benchmark.run(batchSize: batch)
            return Point(size: batch, milliseconds: result.millisecondsPerStep)
        }
        let report = Report(
            machine: machine, model: model.model, mode: model.chosenMode.rawValue,
            dtype: model.dtype.rawValue, threads: settings.threads, encode: encode, step: step)
        let plots = [
            LinePlot(
                title: "Encoding 8 documents", horizontal: "source tokens of each",
                vertical: "ms", points: encode.map { (Double($0.size), $0.milliseconds) }),
            LinePlot(
                title: "One decoding step, 256 source tokens", horizontal: "documents",
                vertical: "ms", points: step.map { (Double($0.size), $0.milliseconds) }),
        ]
        let folder = URL(fileURLWithPath: output)
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        let files = [
            ("growth.json", Data((try Console.json(report) + "\n").utf8)),
            ("growth.svg", Data(LinePlot.svg(plots).utf8)),
        ]
        for (name, contents) in files {
            let file = folder.appendingPathComponent(name)
            try contents.write(to: file, options: .atomic)
            Console.print(file.path)
        }
    }
}
