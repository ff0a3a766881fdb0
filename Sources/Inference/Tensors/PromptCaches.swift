/// The keys and values that the reading of a prompt left, for a decoder that goes on where it ended.
///
/// They are not written to any more: several decoders may go on from the same.
struct PromptCaches: Sendable {
    /// With a position for each vector that was read.
    let cache: KeyValueCache
    /// For each layer of the decoder, in its order, the slot of `cache` that it writes on.
    let slots: [Int]
    /// The prompt's last token: it gives the first one of the response.
    let lastToken: Int32
}
