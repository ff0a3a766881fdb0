internal import Jobs
internal import Tokenizers

extension Opening {
    /// Adds the languages that the job type names to its prompt, where its model reads them.
    mutating func withLanguages(_ jobType: JobType) throws -> JobType {
        guard jobType.sourceLanguage != nil || jobType.targetLanguage != nil else { return jobType }
        var resolved = jobType
        let encoderPath = path(jobType.encoderFolder)
        let tokens = LanguageTokens(try tokenizer(encoderPath), path: encoderPath)
        if case .named(let language) = jobType.sourceLanguage {
            let token = try tokens.token(language, field: "source_language")
            resolved.prompt = resolved.prompt.behind(token.text)
        }
        if case .named(let language) = jobType.targetLanguage, path(jobType.decoder) == encoderPath
        {
            let token = try tokens.token(language, field: "target_language")
            if token.isTag {
                resolved.prompt = resolved.prompt.behind(token.text)
                resolved.targetLanguage = nil
            }
        }
        return resolved
    }

    /// Prepares a route for documents that name their languages in their metadata.
    mutating func addLanguages(to route: inout Route) throws {
        let jobType = route.jobType
        let encoderPath = path(jobType.encoderFolder)
        if case .field(let name) = jobType.sourceLanguage {
            let tokens = LanguageTokens(try tokenizer(encoderPath), path: encoderPath)
            route.promptLanguages.append(
                try DocumentLanguages(name, of: tokens, setting: "source_language"))
        }
        guard case .field(let name) = jobType.targetLanguage else { return }
        let generator = route.generator
        let tokens = LanguageTokens(generator.tokenizer, path: path(generator.model))
        let languages = try DocumentLanguages(name, of: tokens, setting: "target_language")
        if languages.areTags, path(jobType.decoder) == encoderPath {
            route.promptLanguages.insert(languages, at: 0)
            return
        }
        route.writtenLanguages = languages
        route.generator.languageHeads = LanguageHeads(generator.head, languages, tokens)
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
