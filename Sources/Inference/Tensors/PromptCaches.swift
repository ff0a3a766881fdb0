/// The keys and values that the reading of a prompt left, for decoders that go on where it ended.
///
/// They are not written to any more, so several decoders may go on from them.
struct PromptCaches: Sendable {
    /// It has a position for each vector that was read.
    let cache: KeyValueCache
    /// For each layer of the decoder, in their order: the slot of `cache` that it goes on from.
    let slots: [Int]
    /// The prompt's last token, which a decoder reads once more to write the first token.
    let lastToken: Int32
}
