internal import Foundation
internal import Plots

/// A point of a training's curve, which is a line of JSON in the file.
package struct CurvePoint: Codable, Sendable, Equatable {
    package var step: Int
    package var epoch: Int
    package var seconds: Double
    /// Mean over the response tokens of the steps since the last point; nil at a validation.
    package var loss: Double?
    package var validationLoss: Double?
    package var learningRate: Double?
    package var gradientNorm: Double?
    /// Source and target tokens.
    package var tokensPerSecond: Double?
}

/// The curve's file, a point per line.
struct TrainingCurve {
    let path: String

    /// Removes the points after the step at which a training resumes.
    func cut(after step: Int) throws {
        let kept = try points().filter { $0.step <= step }
        try Data(kept.map { try line($0) }.joined()).write(
            to: URL(filePath: path), options: .atomic)
    }

    func append(_ point: CurvePoint) throws {
        let file = try FileHandle(forWritingTo: URL(filePath: path))
        defer { try? file.close() }
        try file.seekToEnd()
        try file.write(contentsOf: line(point))
    }

    func points() throws -> [CurvePoint] {
        guard let bytes = FileManager.default.contents(atPath: path) else { return [] }
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        // The last line may be cut off where a run was killed.
        return bytes.split(separator: UInt8(ascii: "\n")).compactMap {
            try? decoder.decode(CurvePoint.self, from: Data($0))
        }
    }

    /// Draws all points.
    func plot(to file: String) throws {
        let points = try points()
        let plot = Plot(
            title: "loss per token", horizontal: "step", vertical: "loss",
            series: [
                Plot.Series(
                    "training",
                    points.compactMap { point in
                        point.loss.map { (Double(point.step), $0) }
                    }),
                Plot.Series(
                    "validation",
                    points.compactMap { point in
                        point.validationLoss.map { (Double(point.step), $0) }
                    }),
            ])
        try Data(Plot.svg([plot]).utf8).write(to: URL(filePath: file), options: .atomic)
    }

    private func line(_ point: CurvePoint) throws -> Data {
        let encoder = JSONEncoder()
        encoder.keyEncodingStrategy = .convertToSnakeCase
        encoder.outputFormatting = .sortedKeys
        return try encoder.encode(point) + Data("\n".utf8)
    }
}
