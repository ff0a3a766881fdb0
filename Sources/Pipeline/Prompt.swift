/// What an encoder is given to read. Parts with equal prompts share a reading, whatever becomes of
/// its states.
struct Prompt: Hashable, Sendable {
    /// Index of the encoder in the library.
    let encoder: Int
    let tokens: [Int32]
    /// A hash of encoder and tokens. It is computed once, because a prompt is looked up far more
    /// often than it is made.
    private let digest: Int

    init(encoder: Int, tokens: [Int32]) {
        self.encoder = encoder
        self.tokens = tokens
        var hasher = Hasher()
        hasher.combine(encoder)
        hasher.combine(tokens)
        digest = hasher.finalize()
    }

    /// Compares all tokens, because different prompts may have the same hash.
    static func == (one: Prompt, other: Prompt) -> Bool {
        one.digest == other.digest && one.encoder == other.encoder && one.tokens == other.tokens
    }

    func hash(into hasher: inout Hasher) { hasher.combine(digest) }
}
