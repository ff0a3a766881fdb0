/// A model that writes token by token: immutable weights, shared by all replicas.
///
/// A model is called once per batch and step, so dynamic dispatch costs nothing that can be
/// measured.
package protocol DecoderModel: Sendable {
    var head: OutputHead { get }
    /// Width of the prompt states that it takes.
    var stateWidth: Int { get }
    /// Width of the hidden states that its head takes.
    var hiddenWidth: Int { get }
    /// The most tokens of prompt and response together; nil for no limit.
    var maximumPositions: Int? { get }
    /// The most tokens of a response, whatever the prompt is; nil for no limit.
    var maximumNewTokens: Int? { get }
    /// The longest prompt that it reads with an encoder of its own; nil for no limit.
    var maximumSourceTokens: Int? { get }

    /// Makes a row for each prompt, and computes everything that is computed once per document.
    func open(_ prompts: [OpenedPrompt], workspace: Workspace) -> [DecoderRow]

    /// Takes one token per row; each token joins its row's cache. Writes the hidden states from
    /// which the head makes the next tokens to `hidden` [rows, hiddenWidth].
    ///
    /// A row that occurs several times takes that many tokens in one pass, at consecutive
    /// positions, and each token sees those before it. The bits are the same as in as many passes.
    func step(
        _ rows: [DecoderRow], tokens: [Int32], into hidden: FloatBuffer, workspace: Workspace)

    /// What the token at `position` of the response to a prompt of `sourceTokens` costs with
    /// `head`.
    func stepCost(sourceTokens: Int, position: Int, head: OutputHead) -> StepCost
}

extension DecoderModel {
    package var hiddenWidth: Int { stateWidth }
    package var maximumNewTokens: Int? { nil }
    package var maximumSourceTokens: Int? { nil }
}

/// A prompt as a `DecoderModel` takes it.
package struct OpenedPrompt: Sendable {
    /// [tokens, stateWidth]: encoder states, or input embeddings of an SLM that reads by itself; or
    /// the keys and values of a reading that the decoder goes on from.
    package let states: PromptStates
    /// The most tokens that follow it: those of the decoder's prompt and of the response.
    package let maximumNewTokens: Int

    package init(states: PromptStates, maximumNewTokens: Int) {
        self.states = states
        self.maximumNewTokens = maximumNewTokens
    }
}
