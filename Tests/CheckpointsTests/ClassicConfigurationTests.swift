import TestSupport
import Testing

@testable import Checkpoints

/// config.json of Marian, BART and similar models, and what generation_config.json forces.
@Suite struct ClassicConfigurationTests {
    private let folder: ScratchFolder

    init() throws { folder = try ScratchFolder() }

    /// Names to JSON; nil leaves a field out.
    private static let usual: [String: String?] = [
        "model_type": "\"bart\"", "d_model": "64", "encoder_layers": "3", "decoder_layers": "2",
        "encoder_attention_heads": "4", "decoder_attention_heads": "8", "encoder_ffn_dim": "96",
        "decoder_ffn_dim": "128", "max_position_embeddings": "100", "eos_token_id": "2",
    ]

    private func open(
        _ changes: [String: String?], generation: String? = nil
    ) throws -> (ClassicConfiguration, GenerationRules) {
        let fields = Self.usual.merging(changes) { $1 }
            .compactMap { name, value in value.map { "\"\(name)\": \($0)" } }
        let path = folder.path + "/config.json"
        try folder.write("config.json", "{\(fields.sorted().joined(separator: ", "))}".utf8)
        let own = try JSONFields(path: path)
        var beside: JSONFields?
        if let generation {
            try folder.write("generation_config.json", generation.utf8)
            beside = try JSONFields(path: folder.path + "/generation_config.json")
        }
        let rules = try GenerationRules(beside, configuration: own)
        guard case .classic(let model) = try ModelConfiguration(fields: own, generation: beside)
        else { throw CheckpointError(path: path, problem: .malformed("expected a classic one")) }
        return (model, rules)
    }

    @Test func familiesDifferByTheirDescription() throws {
        let bart = try open([:]).0
        #expect(bart.positions == .learned(offset: 2) && bart.activation == .gelu)
        #expect(!bart.normsComeFirst && bart.normalizesEmbeddings && bart.tiesEmbeddings)
        #expect(bart.embeddingScale == 1 && bart.startID == 2 && bart.endIDs == [2])
        #expect(bart.encoder == .init(layers: 3, heads: 4, feedForwardWidth: 96))
        #expect(bart.decoder == .init(layers: 2, heads: 8, feedForwardWidth: 128))
        let mbart = try open(["model_type": "\"mbart\"", "scale_embedding": "true"]).0
        #expect(mbart.normsComeFirst && mbart.normalizesEmbeddings && mbart.embeddingScale == 8)
        let marian = try open([
            "model_type": "\"marian\"", "activation_function": "\"swish\"", "pad_token_id": "99",
        ]).0
        #expect(marian.positions == .sinusoidal(first: 0, divisor: 32))
        #expect(marian.activation == .silu && marian.startID == 99)
        #expect(!marian.normsComeFirst && !marian.normalizesEmbeddings)
        let pegasus = try open(["model_type": "\"pegasus\"", "pad_token_id": "0"]).0
        #expect(pegasus.positions == marian.positions && pegasus.normsComeFirst)
        #expect(pegasus.activation == .relu && pegasus.startID == 0)
        let nllb = try open(["model_type": "\"m2m_100\""]).0
        #expect(nllb.positions == .sinusoidal(first: 2, divisor: 31))
        #expect(nllb.normsComeFirst && !nllb.normalizesEmbeddings)
        let blenderbot = try open(["model_type": "\"blenderbot\""]).0
        #expect(blenderbot.positions == .learned(offset: 0) && blenderbot.normsComeFirst)
    }

    @Test(arguments: [
        ("d_model", "65"), ("d_model", nil), ("encoder_attention_heads", "5"),
        ("decoder_layers", "0"), ("decoder_ffn_dim", "0"), ("activation_function", "\"tanh\""),
        ("max_position_embeddings", nil), ("scale_embedding", "1"), ("eos_token_id", "[]"),
        ("decoder_start_token_id", "-1"), ("bad_words_ids", "[[]]"), ("bad_words_ids", "7"),
        ("bad_words_ids", "[[-1]]"), ("suppress_tokens", "[1.5]"), ("forced_bos_token_id", "\"a\""),
        ("renormalize_logits", "1"),
    ])
    func whatWouldRunAndBeWrongIsRefused(field: String, value: String?) {
        let error = #expect(throws: CheckpointError.self) { try open([field: value]) }
        guard case .field(field, _, _)? = error?.problem else {
            Issue.record("got \(String(describing: error))")
            return
        }
    }

    @Test func howToSearchIsRead() throws {
        let path = folder.path + "/config.json"
        func defaults(_ text: String) throws -> GenerationDefaults {
            try folder.write("config.json", text.utf8)
            let fields = try JSONFields(path: path)
            return try GenerationDefaults(fields, configuration: fields)
        }
        let found = try defaults(
            #"{"num_beams": 4, "length_penalty": 2.0, "early_stopping": true, "min_length": 56, "#
                + #""no_repeat_ngram_size": 3, "max_length": 142, "top_k": 50, "do_sample": null}"#)
        #expect(found.beams == 4 && found.lengthPenalty == 2 && found.earlyStopping == .yes)
        #expect(found.noRepeatNgram == 3 && found.minimumNewTokens == 55)
        #expect(found.newTokens == 141)
        // Fields that only repeat a default are not reported.
        #expect(found.unused == [])
        let other = try defaults(
            #"{"early_stopping": "never", "min_new_tokens": 5, "min_length": 9, "max_new_tokens": 7, "#
                + #""max_length": 9, "repetition_penalty": 1.2, "top_k": 20, "do_sample": true}"#)
        #expect(other.earlyStopping == .never && other.minimumNewTokens == 5 && other.beams == nil)
        #expect(other.newTokens == 7)
        #expect(other.unused == ["do_sample", "repetition_penalty", "top_k"])
        for wrong in [
            #"{"num_beams": 0}"#, #"{"early_stopping": "soon"}"#, #"{"length_penalty": "long"}"#,
            #"{"min_length": -1}"#, #"{"early_stopping": 1}"#,
        ] {
            #expect(throws: CheckpointError.self) { try defaults(wrong) }
        }
    }

    /// As in transformers, config.json counts only where there is no generation_config.json.
    @Test func whatIsForcedComesFromOneFile() throws {
        let old: [String: String?] = [
            "forced_eos_token_id": "2", "bos_token_id": "7", "bad_words_ids": "[[5], [2], [8, 9]]",
            "force_bos_token_to_be_generated": "true", "suppress_tokens": "[11]",
            "begin_suppress_tokens": "[12, 13]", "renormalize_logits": "true",
        ]
        let rules = try open(old).1
        #expect(rules.firstID == 7 && rules.lastID == 2 && rules.renormalizes)
        #expect(rules.forbiddenIDs == [5, 11] && rules.forbiddenRuns == [[8, 9]])
        #expect(rules.forbiddenFirstIDs == [12, 13])
        let newer = try open(old, generation: #"{"forced_bos_token_id": 3}"#).1
        #expect(newer.firstID == 3 && newer.lastID == nil && newer.forbiddenIDs.isEmpty)
    }
}
