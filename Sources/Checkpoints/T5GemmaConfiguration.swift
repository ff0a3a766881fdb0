/// T5Gemma (arXiv 2504.06225): an encoder and a decoder of the kind of Gemma 2, which may be of
/// different sizes, each with its own token vectors.
package struct T5GemmaConfiguration: Sendable, Equatable {
    static let modelType = "t5gemma"

    /// Its layers attend in both directions; a window reaches equally far to either side.
    package let encoder: RotaryConfiguration
    /// Its layers attend to the encoder's states, too.
    package let decoder: RotaryConfiguration
    package let startID: Int32
    /// Not empty.
    package let endIDs: [Int32]
    /// Whether the head is the decoder's embedding.
    package let tiesEmbeddings: Bool

    init(fields: JSONFields, generation: JSONFields? = nil) throws {
        func half(_ name: String) throws -> RotaryConfiguration {
            guard let own = try fields.object(name) else {
                throw fields.refuse(name, "the sizes of one half of the model", "nothing")
            }
            return try RotaryConfiguration(fields: own, family: .gemma2)
        }
        encoder = try half("encoder")
        decoder = try half("decoder")
        // Published files do not have the field. It is the token that begins a sequence.
        startID = try fields.id(
            "decoder_start_token_id", default: fields.id("bos_token_id", default: 2))
        endIDs = try fields.endIDs(generation, default: 1)
        tiesEmbeddings = try fields.flag("tie_word_embeddings") ?? true
    }
}
