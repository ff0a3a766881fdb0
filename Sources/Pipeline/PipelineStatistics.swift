/// What a pipeline holds at one moment, and what it has done since its start.
package struct PipelineStatistics: Sendable, Equatable {
    package var lanes = 0
    /// There is room while the pipeline holds fewer documents than this.
    package var capacity = 0
    /// Documents that were accepted and are neither delivered nor withdrawn.
    package var documents = 0
    /// Documents that are not tokenized yet.
    package var waiting = 0
    /// Tokenized parts that wait for the encoder.
    package var prepared = 0
    /// Encoded parts that wait for a decoder.
    package var handoff = 0
    package var handoffCapacity = 0
    /// Rows that parts take in decoders: one for each part, or one for each of its beams.
    package var decoding = 0
    package var encoderPasses = 0
    /// Prompts that all passes of the encoder read.
    package var encodedParts = 0
    /// Parts that took the states of a prompt that was read for another part at the same time.
    package var sharedReadings = 0
    package var promptCache = PromptCacheStatistics()
    /// Tokens that small models proposed in `speculative` mode, and how many of them were accepted.
    package var draftedTokens = 0
    package var acceptedTokens = 0
    /// Parts that the large model wrote: because the small one was unsure, and for comparison.
    package var fallbackParts = 0
    package var shadowParts = 0
    /// Time that all lanes together spent on each kind of work.
    package var preparing = Duration.zero
    package var encoding = Duration.zero
    package var decodingTime = Duration.zero

    package init() {}

    package var busy: Duration { preparing + encoding + decodingTime }
}
