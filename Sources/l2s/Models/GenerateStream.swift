import Foundation
import Jobs
import Synchronization

/// Puts the lines of `input` through `processor`, and hands a line of output for each to `write`, in
/// the same order.
///
/// - Parameters:
///   - lines: which lines, counted from 0; the input is read no further.
///   - fields: texts of each document's metadata, by name; those of a line override them.
///   - write: called off the cooperative pool. An error that it throws ends the work when the
///     documents in progress are done.
/// - Returns: how many lines could not be processed.
func generate(
    from input: consuming InputFile, _ form: InputForm, lines: Range<Int> = 0..<Int.max,
    fields: [String: String] = [:], jobType: String, by processor: any DocumentProcessor,
    write: @escaping @Sendable ([GeneratedLine]) throws -> Void
) async throws -> Int {
    let outputs = OrderedOutputs(from: lines.lowerBound)
    let failed = Mutex(false)
    async let faults = outputs.drain { lines in
        do {
            try write(lines)
        } catch {
            failed.withLock { $0 = true }
            throw error
        }
    }
    var index = 0
    var room = 0
    while index < lines.upperBound, !failed.withLock({ $0 }),
        let piece = try await input.nextLine()
    {
        let number = index
        index += 1
        guard number >= lines.lowerBound else { continue }
        do throws(DocumentLine.Fault) {
            let line = try DocumentLine(piece, form)
            let text = line.document
            let fields = fields.merging(line.metadata?.texts ?? [:]) { $1 }
            await outputs.admit(bytes: text.utf8.count)
            // Nobody else submits documents, so the room that was found is still there.
            if room == 0 { room = await processor.waitForRoom() }
            room -= 1
            let document = SourceDocument(
                id: Int64(number), jobType: jobType, text: text, fields: fields)
            processor.submit([document]) {
                outputs.add($0, index: number, bytes: text.utf8.count)
            }
        } catch {
            await outputs.admit(bytes: 0)
            outputs.add(GeneratedLine(index: number, fault: "\(error)"), bytes: 0)
        }
    }
    outputs.close(after: max(index, lines.lowerBound))
    return try await faults
}

/// One line of the output.
struct GeneratedLine: Encodable, Sendable {
    let index: Int
    var text: String?
    var tokenIDs: [Int32]?
    var timings: Timings?
    /// True if the prompt was cut off; absent otherwise.
    var truncated: Bool?
    /// Tokens of the prompt for characters that the model does not know; absent where there are none.
    var unknownTokens: Int?
    /// True if the output ended at the limit of new tokens; absent otherwise.
    var cutOff: Bool?
    /// How many parts the document was split into; absent if it was not split.
    var parts: Int?
    var error: String?

    enum CodingKeys: String, CodingKey {
        case index, text, timings, truncated, parts, error
        case cutOff = "cut_off"
        case unknownTokens = "unknown_tokens"
        case tokenIDs = "token_ids"
    }

    init(index: Int, fault: String) {
        self.index = index
        error = "line \(index + 1): \(fault)"
    }

    init(index: Int, _ finished: FinishedDocument) {
        self.index = index
        switch finished.outcome {
        case .succeeded(let output, let tokens):
            text = output
            tokenIDs = tokens
            timings = Timings(finished.measurements)
            truncated = finished.measurements.truncated ? true : nil
            let unknown = finished.measurements.unknownTokens
            unknownTokens = unknown > 0 ? unknown : nil
            cutOff = finished.measurements.cutOffParts > 0 ? true : nil
            parts = finished.measurements.parts > 1 ? finished.measurements.parts : nil
        case .rejected(let reason), .failed(let reason):
            error = "line \(index + 1): \(reason)"
        }
    }

    var json: String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        // Encoding fails only for numbers such as NaN that JSON cannot write. None occurs here.
        return (try? encoder.encode(self)).map { String(decoding: $0, as: UTF8.self) } ?? "{}"
    }
}

/// The stages of a document in ms, under the names that view `l2s.jobs` gives them.
struct Timings: Encodable, Sendable {
    let tokenize: Double
    let batchWait: Double
    let encode: Double
    let handoff: Double
    let decode: Double

    enum CodingKeys: String, CodingKey {
        case tokenize = "tokenize_ms"
        case batchWait = "batch_wait_ms"
        case encode = "encode_ms"
        case handoff = "handoff_ms"
        case decode = "decode_ms"
    }

    init(_ measurements: Measurements) {
        func milliseconds(_ duration: Duration) -> Double {
            (duration / .microseconds(1)).rounded() / 1000
        }
        tokenize = milliseconds(measurements.stages.tokenize)
        batchWait = milliseconds(measurements.stages.batchWait)
        encode = milliseconds(measurements.stages.encode)
        handoff = milliseconds(measurements.stages.handoff)
        decode = milliseconds(measurements.stages.decode)
    }
}
