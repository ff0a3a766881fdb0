/// A model that writes token by token: immutable weights, shared by all replicas.
///
/// Called once per batch and step, so dynamic dispatch costs nothing that can be measured.
package protocol DecoderModel: Sendable {
    var head: OutputHead { get }
    /// Width of the prompt states that it takes.
    var stateWidth: Int { get }
    /// Width of what its head takes.
    var hiddenWidth: Int { get }
    /// Prompt and response together, where the model has such a limit.
    var maximumPositions: Int? { get }
    /// The longest response that it has positions for, whatever the prompt is.
    var maximumNewTokens: Int? { get }
    /// The longest prompt that it reads with an encoder of its own, where that has such a limit.
    var maximumSourceTokens: Int? { get }

    /// Prepares to write for each prompt: everything about a document that is computed once.
    func open(_ prompts: [OpenedPrompt], workspace: Workspace) -> [DecoderRow]

    /// One token per row, each joining its row's cache; writes what the head makes the next
    /// token of to `hidden` [rows, hiddenWidth]. A row that occurs several times takes that many
    /// tokens in one pass, at consecutive positions, each seeing those before it; the bits are
    /// those of as many passes.
    func step(
        _ rows: [DecoderRow], tokens: [Int32], into hidden: FloatBuffer, workspace: Workspace)

    /// What the token at `position` of the response to a prompt of `sourceTokens` costs with `head`.
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
    /// At most so many tokens will follow it: those of the decoder's prompt and of the response.
    package let maximumNewTokens: Int

    package init(states: PromptStates, maximumNewTokens: Int) {
        self.states = states
        self.maximumNewTokens = maximumNewTokens
    }
}
