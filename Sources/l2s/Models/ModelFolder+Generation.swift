import Checkpoints
import Foundation

extension ModelFolder {
    /// The settings of generation_config.json: those that apply to outputs, those that a job file may
    /// take over, and those that l2s does not use.
    var generationFacts: [(String, String)] {
        var facts: [(String, String)] = []
        let lines = generation.defaults.jobFileLines
        var unused = generation.defaults.unused
        if case .classic = configuration {
            let forced = generation.rules.words
            facts.append(("outputs", forced.isEmpty ? "nothing forced" : forced))
            if !lines.isEmpty { facts.append(("search", lines + "; a job file may say otherwise")) }
        } else {
            if !lines.isEmpty {
                facts.append(("search", "only where a job file says so: " + lines))
            }
            let forced = generation.rules.words
            if !forced.isEmpty { unused.append(forced) }
        }
        for task in generation.tasks {
            let prompt = task.prefix.map { "prompt: \"\($0){document}\"" }
            let words = [prompt, task.defaults.jobFileLines].compactMap(\.self)
                .filter { !$0.isEmpty }
            if words.isEmpty { continue }
            facts.append(("for " + task.name, words.joined(separator: " ")))
        }
        if !unused.isEmpty { facts.append(("not used", unused.joined(separator: ", "))) }
        return facts
    }
}

extension GenerationDefaults {
    /// These defaults as fields of a job file.
    fileprivate var jobFileLines: String {
        let isSearch = (beams ?? 1) > 1
        let decoding = [
            beams.map { "beams: \($0)" },
            isSearch ? lengthPenalty.map { "length_penalty: \($0)" } : nil,
            noRepeatNgram.map { "no_repeat_ngram: \($0)" },
            isSearch ? earlyStopping.map { "early_stopping: \($0.rawValue)" } : nil,
        ].compactMap(\.self)
        let limits = [
            newTokens.map { "new_tokens: \($0)" },
            minimumNewTokens.map { "minimum_new_tokens: \($0)" },
        ].compactMap(\.self)
        return [("decoding", decoding), ("limits", limits)].filter { !$1.isEmpty }
            .map { "\($0): {\($1.joined(separator: ", "))}" }.joined(separator: " ")
    }
}

extension GenerationRules {
    fileprivate var words: String {
        [
            firstID.map { "first token \($0)" }, lastID.map { "last token \($0)" },
            forbiddenIDs.isEmpty ? nil : "never \(forbiddenIDs.brief)",
            forbiddenFirstIDs.isEmpty ? nil : "not first \(forbiddenFirstIDs.brief)",
            forbiddenRuns.isEmpty ? nil : "\(forbiddenRuns.count) forbidden runs",
            renormalizes ? "normalized anew" : nil,
        ].compactMap(\.self).joined(separator: ", ")
    }
}

extension [Int32] {
    fileprivate var brief: String {
        prefix(6).map(String.init).joined(separator: ", ")
            + (count > 6 ? " and \(count - 6) more" : "")
    }
}
