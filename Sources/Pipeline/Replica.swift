internal import Inference

/// A replica of a decoder, and the parts that it writes.
///
/// Not thread-safe: used by one lane at a time.
final class Replica {
    private let decoder: DecoderReplica
    private var parts: [Int: EncodedPart] = [:]
    private var lastID = 0

    init(_ model: ModelLibrary.Decoder) {
        decoder = DecoderReplica(model: model.model, draftModel: model.draftModel)
    }

    /// The most rows that its parts may take.
    var rowCapacity: Int { decoder.rowCapacity }
    /// The document of each part.
    var documents: [Document] { parts.values.map(\.document) }

    func admit(_ encoded: [EncodedPart], at now: ContinuousClock.Instant, crew: Crew?) {
        decoder.crew = crew
        guard !encoded.isEmpty else { return }
        decoder.admit(
            encoded.map { part in
                lastID += 1
                parts[lastID] = part.admitted(at: now)
                return part.request(id: lastID)
            })
    }

    /// Takes so many steps, or fewer if a part is complete before. Returns the complete parts.
    func write(steps: Int) -> [(part: EncodedPart, response: Response)] {
        for _ in 0..<steps {
            let written = decoder.step()
            guard written.isEmpty else {
                return written.compactMap { id, response in
                    parts.removeValue(forKey: id).map { ($0, response) }
                }
            }
        }
        return []
    }

    /// Drops the parts of documents that are over.
    func dropOver() {
        let over = parts.filter(\.value.document.isOver)
        guard !over.isEmpty else { return }
        for id in over.keys { parts[id] = nil }
        decoder.remove { over[$0] != nil }
    }
}
