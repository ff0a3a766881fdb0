internal import Checkpoints
internal import Foundation
package import Inference
package import Jobs
internal import Tokenizers

/// Every model that a set of job types needs, each opened once per process.
///
/// Only the parts that a mode needs are loaded: a large model is loaded without its decoder if
/// small decoders write all of its documents.
package struct ModelLibrary: Sendable {
    struct Decoder: Sendable {
        let model: any DecoderModel
        /// The model that proposes tokens in `speculative` mode; nil in other modes.
        var draftModel: (any DecoderModel)?
    }

    let encoders: [Encoder]
    let decoders: [Decoder]
    /// The first is the identity. Job types with the same projector share the states that it makes.
    let projectors: [Projector]
    let routes: [String: Route]
    /// Warnings for a person: what could not be checked, and what may be a mistake.
    package let warnings: [String]

    /// - Parameter modelsFolder: the folder in which relative paths of job types are looked up.
    /// - Throws: `ModelLibraryError`, which names the job type and what is wrong with its models.
    package init(jobTypes: [JobType], modelsFolder: String) throws {
        var opening = Opening(modelsFolder: modelsFolder)
        var routes: [String: Route] = [:]
        for jobType in jobTypes {
            do {
                routes[jobType.name] = try opening.route(for: jobType)
            } catch {
                throw ModelLibraryError(jobType: jobType.name, reason: "\(error)")
            }
        }
        encoders = opening.encoders
        for route in routes.values { encoders[route.encoder].share(route.promptBeginning) }
        decoders = opening.decoders
        projectors = opening.projectors
        self.routes = routes
        warnings = opening.warnings + Self.readTwice(jobTypes)
    }

    /// The job types, sorted by name. Settings that their files leave out come from their models.
    package var jobTypes: [JobType] {
        routes.values.map(\.jobType).sorted { $0.name < $1.name }
    }

    /// The cost of one token in the decoder of a job type, and in its second model if it has one:
    /// the draft model, or the large model that writes, too. See `DecoderModel.stepCost`.
    ///
    /// - Precondition: the library has the job type.
    package func stepCosts(
        of jobType: String, sourceTokens: Int, position: Int
    ) -> (decoder: StepCost, second: StepCost?) {
        guard let route = routes[jobType] else { preconditionFailure("no job type \(jobType)") }
        let decoder = decoders[route.generator.decoder]
        let sourceTokens = sourceTokens + encoders[route.encoder].softPromptTokens
        func cost(_ model: any DecoderModel, _ head: OutputHead) -> StepCost {
            model.stepCost(sourceTokens: sourceTokens, position: position, head: head)
        }
        let second =
            route.draftModel.flatMap { draft in decoder.draftModel.map { cost($0, draft.head) } }
            ?? route.largeGenerator.map { cost(decoders[$0.decoder].model, $0.head) }
        return (cost(decoder.model, route.generator.head), second)
    }
}

/// The library while it is being filled.
struct Opening {
    let modelsFolder: String
    var encoders: [Encoder] = []
    var decoders: [ModelLibrary.Decoder] = []
    var projectors: [Projector] = [.identity]
    var warnings: [String] = []
    /// Layers that an encoder and a decoder share are loaded once.
    private let pool = WeightPool()
    private var folders: [String: ModelFolder] = [:]
    /// Indices of encoders, by number type and folder.
    private var encoderOfKey: [String: Int] = [:]
    /// Indices of decoders, by number type, folder and use: the decoder of a folder is another one
    /// behind a projector than after its own encoder.
    private var decoderOfKey: [String: Int] = [:]
    /// Indices of projectors, by encoder and folder of the small model.
    private var projectorOfKey: [String: Int] = [:]
    /// By decoder, shortlist and language.
    private var headOfKey: [String: OutputHead] = [:]
    private var tokenizers: [String: any Tokenizer] = [:]

    init(modelsFolder: String) { self.modelsFolder = modelsFolder }

    mutating func route(for asked: JobType) throws -> Route {
        let encoder = try encoder(asked)
        let decoderFolder = try folder(
            path(asked.decoder), adapter: asked.slm == nil ? asked.adapter : nil)
        let jobType = try withLanguages(asked.completed(by: decoderFolder))
        warnings += [decoderFolder.unusedSettings(of: jobType)].compactMap(\.self)
        var route: Route
        switch jobType.mode {
        case .llm, .slm:
            route = Route(
                jobType: jobType, encoder: encoder,
                promptTokenizer: try tokenizer(path(jobType.encoderFolder)),
                generator: try ownGenerator(jobType.decoder, jobType), draftModel: nil,
                largeGenerator: nil)
        case .hybrid:
            let small = try smallModel(jobType, encoder: encoder)
            route = Route(
                jobType: jobType, encoder: encoder,
                promptTokenizer: try tokenizer(path(jobType.encoderFolder)),
                generator: Generator(
                    model: jobType.decoder, decoder: small.decoder, projector: small.projector,
                    head: try head(of: small.decoder, jobType, model: jobType.decoder),
                    tokenizer: try tokenizer(small.tokens),
                    decoderPrompt: jobType.decoderPrompt),
                draftModel: nil,
                largeGenerator: jobType.needsLargeGenerator
                    ? try ownGenerator(jobType.encoderFolder, jobType) : nil)
        case .speculative:
            let small = try smallModel(jobType, encoder: encoder)
            let large = try ownGenerator(jobType.decoder, jobType)
            try expectSameTokens(jobType, large: large.decoder, small: small.decoder)
            route = Route(
                jobType: jobType, encoder: encoder,
                promptTokenizer: try tokenizer(path(jobType.encoderFolder)),
                generator: try speculating(large, with: small.decoder, jobType),
                draftModel: Route.DraftModel(
                    projector: small.projector,
                    head: try head(of: small.decoder, jobType, model: jobType.decoder)),
                largeGenerator: nil)
        }
        try addLanguages(to: &route)
        route.longestOpening = try check(route)
        return route
    }

    /// A model that writes after its own encoder.
    private mutating func ownGenerator(_ model: String, _ jobType: JobType) throws -> Generator {
        let own = try folder(path(model), adapter: jobType.adapter)
        let format = try WeightFormat(jobType.dtype, of: own)
        let decoder = try decoder("\(format) own \(own.name)") { [pool] in
            ModelLibrary.Decoder(model: try Decoders.own(own, format: format, pool: pool))
        }
        return Generator(
            model: model, decoder: decoder, projector: identityProjector,
            head: try head(of: decoder, jobType, model: model),
            tokenizer: try tokenizer(path(model)), decoderPrompt: jobType.decoderPrompt)
    }

    /// Opens the small model that writes after the large one.
    ///
    /// - Returns: indices of its decoder and projector, and the folder of its tokenizer.
    private mutating func smallModel(
        _ jobType: JobType, encoder: Int
    ) throws -> (decoder: Int, projector: Int, tokens: String) {
        let slm = try folder(path(jobType.slm ?? ""))
        let manifest = try SLMManifest(folder: slm.path)
        let llm = try folder(path(jobType.encoderFolder), adapter: jobType.adapter)
        // Layers of the large model read its keys and values, so they take its number type.
        let format = try WeightFormat(
            jobType.dtype, of: manifest.fusion == .layers ? llm : slm)
        try expectSameFolder(manifest, jobType)
        let projector = try projector(manifest, slm: slm, encoder: encoder)
        let decoder = try decoder("\(format) hybrid \(slm.path) of \(llm.name)") { [pool] in
            ModelLibrary.Decoder(
                model: try Decoders.slm(
                    slm, manifest: manifest, llm: llm, format: format, pool: pool))
        }
        // Layers of the large model write tokens of its tokenizer.
        return (decoder, projector, manifest.fusion == .layers ? llm.path : slm.path)
    }

    /// How many layers of a decoder-only LLM the job type's prompts pass; nil for all.
    private func depth(for jobType: JobType) throws -> Int? {
        guard jobType.mode == .hybrid, !jobType.needsLargeGenerator else { return nil }
        return try SLMManifest(folder: path(jobType.slm ?? "")).llmDepth
    }

    /// The same generator with a small decoder that proposes tokens. This makes a decoder of its
    /// own, which shares the weights.
    private mutating func speculating(
        _ generator: Generator, with small: Int, _ jobType: JobType
    ) throws -> Generator {
        let large = decoders[generator.decoder].model
        let draftModel = decoders[small].model
        let decoder = try decoder("\(generator.decoder) with \(small)") {
            ModelLibrary.Decoder(model: large, draftModel: draftModel)
        }
        return Generator(
            model: generator.model, decoder: decoder, projector: generator.projector,
            head: generator.head,
            tokenizer: generator.tokenizer, decoderPrompt: jobType.decoderPrompt)
    }

    func path(_ folder: String) -> String {
        let found = ModelCache.locate(folder, in: modelsFolder)
        return URL(fileURLWithPath: found).resolvingSymlinksInPath().path
    }

    /// - Parameter adapter: as a job type names it.
    private mutating func folder(_ path: String, adapter: String? = nil) throws -> ModelFolder {
        let key = adapter.map { "\(path) with \($0)" } ?? path
        if let open = folders[key] { return open }
        let opened = try ModelFolder(path: path, adapter: adapter.map(self.path))
        folders[key] = opened
        return opened
    }

    private mutating func encoder(_ jobType: JobType) throws -> Int {
        let model = try folder(path(jobType.encoderFolder), adapter: jobType.adapter)
        let format = try WeightFormat(jobType.dtype, of: model)
        let depth = try depth(for: jobType)
        let key = "\(format) \(model.name)"
        if let index = encoderOfKey[key] {
            if let loaded = encoders[index].depth, loaded < depth ?? .max {
                encoders[index] = try Encoder(model, format: format, depth: depth, pool: pool)
            }
            return index
        }
        encoders.append(try Encoder(model, format: format, depth: depth, pool: pool))
        encoderOfKey[key] = encoders.count - 1
        return encoders.count - 1
    }

    private var identityProjector: Int { 0 }

    private mutating func projector(
        _ manifest: SLMManifest, slm: ModelFolder, encoder: Int
    ) throws -> Int {
        let key = "\(encoder) \(slm.path)"
        if let index = projectorOfKey[key] { return index }
        projectors.append(try Projector(manifest, slm: slm, encoder: encoders[encoder]))
        projectorOfKey[key] = projectors.count - 1
        return projectors.count - 1
    }

    private mutating func decoder(
        _ key: String, open: () throws -> ModelLibrary.Decoder
    ) throws -> Int {
        if let index = decoderOfKey[key] { return index }
        decoders.append(try open())
        decoderOfKey[key] = decoders.count - 1
        return decoders.count - 1
    }

    /// The head for a job type's outputs. Job types with the same decoder, shortlist and language
    /// share one.
    private mutating func head(
        of decoder: Int, _ jobType: JobType, model: String
    ) throws -> OutputHead {
        let shortlist = jobType.shortlist.map(path)
        var language: String?
        if case .named(let name) = jobType.targetLanguage { language = name }
        guard shortlist != nil || language != nil else { return decoders[decoder].model.head }
        let key = "\(decoder) \(shortlist ?? "") \(language ?? "")"
        if let open = headOfKey[key] { return open }
        var head = decoders[decoder].model.head
        if let shortlist {
            let tokens = try Shortlist(
                path: shortlist, tokenizer: tokenizer(path(model)), vocabulary: head.columns
            ).tokens
            head = head.restricted(to: tokens)
        }
        if let language {
            let tokens = LanguageTokens(try tokenizer(path(model)), path: path(model))
            head = tokens.beginning(
                head, with: try tokens.token(language, field: "target_language").id)
        }
        headOfKey[key] = head
        return head
    }

    mutating func tokenizer(_ path: String) throws -> any Tokenizer {
        if let open = tokenizers[path] { return open }
        let opened = try openTokenizer(folder: path)
        tokenizers[path] = opened
        return opened
    }

    /// Checks that the small model was trained with the job type's large model, because it
    /// understands the states of no other. It compares the folder and the model's fingerprint.
    private mutating func expectSameFolder(_ manifest: SLMManifest, _ jobType: JobType) throws {
        let llm = path(jobType.encoderFolder)
        let manifestPath = manifest.folder + "/" + SLMManifest.fileName
        let trainedWith = path(manifest.llmPath)
        guard trainedWith == llm else {
            throw InferenceError.wrongModel(
                path: manifestPath,
                expected: "the llm that the job type names, \(llm)", found: trainedWith)
        }
        guard let fingerprint = manifest.llmFingerprint else {
            warnings.append(
                "\(manifestPath) has no llm_fingerprint, so l2s cannot check that the small model "
                    + "was trained with the large one in \(llm)")
            return
        }
        let found = try folder(llm, adapter: jobType.adapter).fingerprint
        guard found == fingerprint else {
            throw InferenceError.wrongModel(
                path: manifestPath,
                expected: "the llm that the small model was trained with (fingerprint "
                    + "\(fingerprint))",
                found: "another one in \(llm)"
                    + (jobType.adapter.map { " with the adapter \($0)" } ?? "")
                    + " (fingerprint \(found)); put the model of the training back there, name "
                    + "the adapter of the training, or train the small one again with this one")
        }
    }

    /// Checks that both models of `speculative` mode mean the same by a token: they need the same
    /// pieces in their tokenizers and as many rows in their vocabularies. A GPT-2 is refused.
    private mutating func expectSameTokens(_ jobType: JobType, large: Int, small: Int) throws {
        let folders = [path(jobType.encoderFolder), path(jobType.slm ?? "")]
        // A small model that is layers of the large one uses its tokenizer.
        let isCut = try SLMManifest(folder: folders[1]).fusion == .layers
        guard try isCut || tokenizer(folders[0]).hasSamePieces(as: tokenizer(folders[1])) else {
            throw Refused(
                "expected \(folders[1]) to have the tokenizer of \(folders[0]), "
                    + "since it proposes tokens in speculative mode, found another")
        }
        let rows = [large, small].map { decoders[$0].model.head.columns }
        guard rows[0] == rows[1] else {
            throw Refused(
                "expected \(folders[1]) to have the vocabulary of \(folders[0]) in speculative "
                    + "mode, \(rows[0]) rows, found \(rows[1])")
        }
        for folder in folders {
            guard case .gpt2? = self.folders[folder]?.configuration else { continue }
            throw Refused(
                "expected \(folders[0]) and \(folders[1]) to be other than a GPT-2 in speculative "
                    + "mode, found a GPT-2 in \(folder)")
        }
    }

    /// Checks vocabularies and positions. Returns the most tokens that fit before an output.
    private mutating func check(_ route: Route) throws -> Int {
        let encoder = encoders[route.encoder]
        let limits = route.jobType.limits
        warnings += route.jobType.prompt.warnings(
            tokenizer: route.promptTokenizer, folder: encoder.path
        ).map { "job type \(route.jobType.name): \($0)" }
        // Only tokens that a text can produce count: others, such as those of images, may lie
        // beyond the model's rows.
        let template = route.jobType.prompt.stretches().map(PromptSegment.init)
        let largest = max(
            Int32(route.promptTokenizer.textVocabularySize - 1),
            route.promptTokenizer.encode(template, ends: .both).max() ?? -1)
        guard largest < encoder.vocabularyRows else {
            throw InferenceError.tokenOutsideVocabulary(
                path: encoder.path, token: largest, rows: encoder.vocabularyRows)
        }
        var longest = Int.max
        for generator in [route.generator, route.largeGenerator].compactMap(\.self) {
            let rows = decoders[generator.decoder].model.head.columns
            if generator.decoderTemplate != nil, generator.tokenizer.textVocabularySize > rows {
                throw InferenceError.tokenOutsideVocabulary(
                    path: path(generator.model),
                    token: Int32(generator.tokenizer.textVocabularySize - 1), rows: rows)
            }
            let decoder = PositionLimits.Decoder(
                model: decoders[generator.decoder].model, path: path(generator.model),
                opening: generator.decoderPrompt)
            longest = min(longest, try PositionLimits(limits, encoder: encoder).check(decoder))
        }
        return longest
    }
}

extension JobType {
    /// Whether the large model of a hybrid job type writes outputs, too.
    fileprivate var needsLargeGenerator: Bool { fallback != nil || shadow > 0 }
}
