/// What a checkpoint forces on every output, whatever a job file asks for: a translator's first
/// token may name its language, and a padding token may never be written.
package struct GenerationRules: Sendable, Equatable {
    /// The first token of every output.
    package var firstID: Int32?
    /// The last token of an output that reaches its length limit.
    package var lastID: Int32?
    /// Tokens that are never written.
    package var forbiddenIDs: [Int32] = []
    /// Tokens that are not written first.
    package var forbiddenFirstIDs: [Int32] = []
    /// Runs of two tokens and more that are never written.
    package var forbiddenRuns: [[Int32]] = []
    /// Whether probabilities are made to add up to 1 again after tokens were forbidden: it matters
    /// for the scores of beams.
    package var renormalizes = false

    package static let none = GenerationRules()

    private init() {}

    /// Reads generation_config.json; config.json where there is none, as transformers does.
    ///
    /// - Throws: `CheckpointError` for a value that is not what the field takes.
    init(_ generation: JSONFields?, configuration: JSONFields) throws {
        let fields = generation ?? configuration
        func source(_ name: String) -> JSONFields? { fields.has(name) ? fields : nil }
        // BART's older field is a flag: it does not name the token that it forces.
        let isForced = try source(Self.olderName)?.flag(Self.olderName) ?? false
        firstID =
            try source("forced_bos_token_id")?.id("forced_bos_token_id", default: 0)
            ?? (isForced ? fields.id("bos_token_id", default: 0) : nil)
        lastID = try source("forced_eos_token_id")?.ids("forced_eos_token_id", default: 0).first
        // As in transformers, an end token stays allowed even if it is listed as a bad word.
        let ends = try source("eos_token_id")?.ids("eos_token_id", default: 0) ?? []
        let runs = try source("bad_words_ids")?.idLists("bad_words_ids") ?? []
        forbiddenRuns = runs.filter { $0.count > 1 }
        forbiddenIDs =
            runs.filter { $0.count == 1 && !ends.contains($0[0]) }.flatMap(\.self)
            + (try source("suppress_tokens")?.idList("suppress_tokens") ?? [])
        forbiddenFirstIDs =
            try source("begin_suppress_tokens")?.idList("begin_suppress_tokens") ?? []
        renormalizes = try source("renormalize_logits")?.flag("renormalize_logits") ?? false
    }

    private static let olderName = "force_bos_token_to_be_generated"
}
