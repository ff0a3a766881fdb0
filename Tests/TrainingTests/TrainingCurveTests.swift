import Foundation
import TestSupport
import Testing

@testable import Training

@Suite struct TrainingCurveTests {
    /// The losses of a training that diverges are drawn, too, however large they are.
    @Test(arguments: [3.5, 1e15, 9.3e18, 1e30, 1e308, -1e30])
    func anyLossIsDrawn(loss: Double) throws {
        let folder = try ScratchFolder()
        let curve = TrainingCurve(path: try folder.write("curve.jsonl", []))
        for step in 1...3 {
            try curve.append(
                CurvePoint(step: step, epoch: 0, seconds: 1, loss: loss / 3 * Double(step)))
        }
        #expect(try curve.points().count == 3)
        let file = folder.path + "/curve.svg"
        try curve.plot(to: file)
        let text = try String(contentsOfFile: file, encoding: .utf8)
        #expect(text.contains("<polyline") && text.contains("</svg>"))
    }
}
