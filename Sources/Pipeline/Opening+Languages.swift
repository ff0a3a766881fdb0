internal import Jobs
internal import Tokenizers

extension Opening {
    /// Languages that are named before the text that is read become part of the prompt.
    mutating func withLanguages(_ jobType: JobType) throws -> JobType {
        guard jobType.sourceLanguage != nil || jobType.targetLanguage != nil else { return jobType }
        var resolved = jobType
        let reader = path(jobType.encoderFolder)
        let tokens = LanguageTokens(try tokenizer(reader), path: reader)
        if case .named(let language) = jobType.sourceLanguage {
            let token = try tokens.token(language, field: "source_language")
            resolved.prompt = resolved.prompt.behind(token.text)
        }
        if case .named(let language) = jobType.targetLanguage, path(jobType.decoder) == reader {
            let token = try tokens.token(language, field: "target_language")
            if token.isTag {
                resolved.prompt = resolved.prompt.behind(token.text)
                resolved.targetLanguage = nil
            }
        }
        return resolved
    }

    /// Languages that documents name.
    mutating func addLanguages(to route: inout Route) throws {
        let jobType = route.jobType
        let reader = path(jobType.encoderFolder)
        if case .field(let name) = jobType.sourceLanguage {
            let tokens = LanguageTokens(try tokenizer(reader), path: reader)
            route.promptLanguages.append(
                try DocumentLanguages(name, of: tokens, setting: "source_language"))
        }
        guard case .field(let name) = jobType.targetLanguage else { return }
        let writer = route.generator
        let tokens = LanguageTokens(writer.tokenizer, path: path(writer.model))
        let languages = try DocumentLanguages(name, of: tokens, setting: "target_language")
        if languages.areTags, path(jobType.decoder) == reader {
            route.promptLanguages.insert(languages, at: 0)
            return
        }
        route.writtenLanguages = languages
        route.generator.languageHeads = LanguageHeads(writer.head, languages, tokens)
        if let draft = route.draftModel {
            route.draftModel?.languageHeads = LanguageHeads(draft.head, languages, tokens)
        }
        if let large = route.largeGenerator {
            let tokens = LanguageTokens(large.tokenizer, path: path(large.model))
            let languages = try DocumentLanguages(name, of: tokens, setting: "target_language")
            route.largeGenerator?.languageHeads = LanguageHeads(large.head, languages, tokens)
        }
    }
}
