import ArgumentParser
import Benchmarks
import Foundation
import Inference
import Jobs
import Plots

struct GrowthBench: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "growth",
        abstract: "Plot how cost grows: encoding with length, decoding with the batch.",
        discussion: """
            Writes growth.svg and the numbers that made it, growth.json. The dashed line is growth \
            in proportion to the first point.
            """, shouldDisplay: false)

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
        /// Time of encoding 8 documents, by their tokens.
        let encode: [Point]
        /// Time of a step after 256 source tokens, by documents.
        let step: [Point]
    }

    /// The points, beside growth in proportion to the first of them.
    private static func series(_ points: [Point]) -> [Plot.Series] {
        let measured = points.map { (x: Double($0.size), y: $0.milliseconds) }
        let slope = measured[0].y / measured[0].x
        let (width, height) = (measured.map(\.x).max() ?? 1, measured.map(\.y).max() ?? 1)
        let end = min(width, height / slope)
        return [
            Plot.Series("", measured),
            Plot.Series("", [(0, 0), (end, end * slope)], style: .dashes),
        ]
    }

    func run() async throws {
        let machine = Machine()
        var settings = model.settings
        settings.newTokens = 1
        let progress = Progress("measuring", unit: "sizes")
        defer { progress.end() }
        let (lengths, batches) = ([32, 64, 128, 256, 512, 1_024], [1, 2, 4, 8, 16, 32, 64])
        // Each token that is read or written costs about the same.
        let encodeCosts = lengths.map { Double(8 * $0) }
        let stepCosts = batches.map { Double($0 * 288) }
        let all = (encodeCosts + stepCosts).reduce(0, +)
        var (done, cost) = (0, 0.0)
        func advance(by more: Double) {
            done += 1
            cost += more
            progress.update(done, of: lengths.count + batches.count, fraction: cost / all)
        }
        let encode = try zip(lengths, encodeCosts).map { length, cost in
            settings.sourceLength = length
            let result = try model.open(settings).run(batchSize: 8)
            advance(by: cost)
            return Point(size: length, milliseconds: result.encodeMilliseconds)
        }
        settings.sourceLength = 256
        settings.newTokens = 32
        let benchmark = try model.open(settings)
        let step = zip(batches, stepCosts).map { batch, cost in
            let result = benchmark.run(batchSize: batch)
            advance(by: cost)
            return Point(size: batch, milliseconds: result.millisecondsPerStep)
        }
        let report = Report(
            machine: machine, model: model.model, mode: model.chosenMode.rawValue,
            dtype: try model.numberType.rawValue, threads: settings.threads, encode: encode,
            step: step)
        let plots = [
            Plot(
                title: "Encoding 8 documents", horizontal: "source tokens of each",
                vertical: "ms", series: Self.series(encode)),
            Plot(
                title: "One decoding step, 256 source tokens", horizontal: "documents",
                vertical: "ms", series: Self.series(step)),
        ]
        let folder = URL(fileURLWithPath: output)
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        let files = [
            ("growth.json", Data((try Console.json(report) + "\n").utf8)),
            ("growth.svg", Data(Plot.svg(plots).utf8)),
        ]
        for (name, contents) in files {
            let file = folder.appendingPathComponent(name)
            try contents.write(to: file, options: .atomic)
            Console.print(file.path)
        }
    }
}
