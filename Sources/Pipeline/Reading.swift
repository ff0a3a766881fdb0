internal import Inference
internal import Jobs

/// A prompt that is read once, for all parts of a batch that have it.
struct Reading {
    let prompt: Prompt
    /// The parts that wait for the pass of the encoder.
    private(set) var parts: [Part]
    /// The states of the prompt that are known, by projector.
    private(set) var states: [Int: PromptStates] = [:]

    /// Makes one reading for each prompt, in the order of their first parts.
    static func grouping(_ parts: [Part]) -> [Reading] {
        var readings: [Reading] = []
        var indexOfPrompt: [Prompt: Int] = [:]
        for part in parts {
            if let index = indexOfPrompt[part.prompt] {
                readings[index].parts.append(part)
            } else {
                indexOfPrompt[part.prompt] = readings.count
                readings.append(Reading(prompt: part.prompt, parts: [part]))
            }
        }
        return readings
    }

    /// The projectors that waiting parts need and whose states are not known, each once.
    var missingProjectors: [Int] {
        var missing: [Int] = []
        for projector in parts.flatMap(\.projectors)
        where states[projector] == nil && !missing.contains(projector) {
            missing.append(projector)
        }
        return missing
    }

    /// - Parameter states: one for each of `projectors`.
    mutating func learn(_ states: [PromptStates], of projectors: [Int]) {
        for (projector, states) in zip(projectors, states) { self.states[projector] = states }
    }

    /// Adds parts with the same prompt.
    mutating func join(_ parts: [Part]) { self.parts += parts }

    /// Removes and returns the parts whose states are all known.
    mutating func takeKnown() -> [Part] {
        let known = parts.filter { $0.projectors.allSatisfy { states[$0] != nil } }
        parts.removeAll { $0.projectors.allSatisfy { states[$0] != nil } }
        return known
    }

    /// The part with the states of its projectors.
    ///
    /// - Parameters:
    ///   - start: when the encoder's pass began. The pass counts as encoding for one part; for all
    ///     others its time counts as waiting.
    ///   - now: when the states were ready.
    /// - Precondition: the states of its projectors are known.
    func encoded(
        _ part: Part, _ source: EncodeSource, start: ContinuousClock.Instant,
        now: ContinuousClock.Instant
    ) -> EncodedPart {
        let states = part.projectors.compactMap { self.states[$0] }
        precondition(
            states.count == part.projectors.count,
            "states of \(states.count) projectors, not of \(part.projectors)")
        let isCounted = if case .batch = source { true } else { false }
        return EncodedPart(
            part: part, generator: part.document.route.generator, states: states,
            batchWait: part.prepared.duration(to: isCounted ? start : now),
            encode: isCounted ? start.duration(to: now) : .zero, source: source, since: now)
    }
}
