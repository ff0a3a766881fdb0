internal import Checkpoints
internal import Foundation
package import Inference
package import Jobs
internal import Tokenizers

/// Every model that a set of job types needs, each opened once per process.
///
/// Only the parts that a mode needs are loaded: a large model whose documents all go to small
/// decoders comes without its own.
package struct ModelLibrary: Sendable {
    struct Writer: Sendable {
        let model: any ResponseModel
        /// What proposes tokens to it, in `speculative` mode.
        var draftModel: (any ResponseModel)?
    }

    let readers: [Reader]
    let writers: [Writer]
    let routes: [String: Route]
    /// What could not be checked, for a person.
    package let warnings: [String]

    /// - Parameter modelsFolder: where the folders that job types name are looked for; an absolute
    ///   path in a job type stands for itself.
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
        readers = opening.readers
        writers = opening.writers
        self.routes = routes
        warnings = opening.warnings
    }

    /// What a token costs the writer of a job type, and the second model that has a part in its
    /// documents. See `ResponseModel.stepCost`.
    ///
    /// - Precondition: the job type is one of the library's.
    package func stepCosts(
        of jobType: String, sourceTokens: Int, position: Int
    ) -> (writer: StepCost, second: StepCost?) {
        guard let route = routes[jobType] else { preconditionFailure("no job type \(jobType)") }
        let writer = writers[route.author.writer]
        let sourceTokens = sourceTokens + readers[route.reader].softPromptTokens
        func cost(_ model: any ResponseModel, _ head: OutputHead) -> StepCost {
            model.stepCost(sourceTokens: sourceTokens, position: position, head: head)
        }
        let second =
            route.draftModel.flatMap { draft in writer.draftModel.map { cost($0, draft.head) } }
            ?? route.largeAuthor.map { cost(writers[$0.writer].model, $0.head) }
        return (cost(writer.model, route.author.head), second)
    }
}

/// A job type whose models cannot be used.
package struct ModelLibraryError: Error, CustomStringConvertible {
    package let jobType: String
    package let reason: String

    package var description: String { "job type \(jobType): \(reason)" }
}

/// The library while it is being filled.
private struct Opening {
    let modelsFolder: String
    var readers: [Reader] = []
    var writers: [ModelLibrary.Writer] = []
    var warnings: [String] = []
    private var folders: [String: ModelFolder] = [:]
    /// By folder and number type.
    private var readerOfKey: [String: Int] = [:]
    /// Likewise; a folder's decoder alone and the same behind a bridge are two writers.
    private var writerOfKey: [String: Int] = [:]
    /// By shortlist and writer.
    private var headOfKey: [String: OutputHead] = [:]
    private var tokenizers: [String: any Tokenizer] = [:]

    init(modelsFolder: String) { self.modelsFolder = modelsFolder }

    mutating func route(for jobType: JobType) throws -> Route {
        let format = WeightFormat(jobType.dtype)
        let reader = try reader(path(jobType.reader), format: format)
        let route: Route
        switch jobType.mode {
        case .llm, .slm:
            route = Route(
                jobType: jobType, reader: reader,
                promptTokenizer: try tokenizer(path(jobType.reader)),
                author: try ownAuthor(jobType.writer, jobType), draftModel: nil, largeAuthor: nil)
        case .hybrid:
            let small = try smallModel(jobType, reader: reader)
            let needsLarge = jobType.fallback != nil || jobType.shadow > 0
            route = Route(
                jobType: jobType, reader: reader,
                promptTokenizer: try tokenizer(path(jobType.reader)),
                author: Route.Author(
                    model: jobType.writer, writer: small.writer, bridge: small.bridge,
                    head: try head(of: small.writer, jobType, model: jobType.writer),
                    tokenizer: try tokenizer(path(jobType.writer))), draftModel: nil,
                largeAuthor: needsLarge ? try ownAuthor(jobType.reader, jobType) : nil)
        case .speculative:
            let small = try smallModel(jobType, reader: reader)
            let large = try ownAuthor(jobType.writer, jobType)
            try expectSameTokens(jobType, large: large.writer, small: small.writer)
            route = Route(
                jobType: jobType, reader: reader,
                promptTokenizer: try tokenizer(path(jobType.reader)),
                author: try speculating(large, with: small.writer),
                draftModel: Route.DraftModel(
                    bridge: small.bridge,
                    head: try head(of: small.writer, jobType, model: jobType.writer)),
                largeAuthor: nil)
        }
        try check(route)
        return route
    }

    /// A model that writes after its own reader.
    private mutating func ownAuthor(_ model: String, _ jobType: JobType) throws -> Route.Author {
        let format = WeightFormat(jobType.dtype)
        let own = try folder(path(model))
        let writer = try writer("\(format) own \(own.path)") {
            ModelLibrary.Writer(model: try Writers.own(own, format: format))
        }
        return Route.Author(
            model: model, writer: writer, bridge: .identity,
            head: try head(of: writer, jobType, model: model),
            tokenizer: try tokenizer(path(model)))
    }

    /// The small model behind the large one.
    private mutating func smallModel(
        _ jobType: JobType, reader: Int
    ) throws -> (writer: Int, bridge: Bridge) {
        let format = WeightFormat(jobType.dtype)
        let slm = try folder(path(jobType.slm ?? ""))
        let manifest = try SLMManifest(folder: slm.path)
        try expectSameFolder(manifest, llm: path(jobType.reader))
        let bridge = try Bridge(manifest, slm: slm, reader: readers[reader])
        let writer = try writer("\(format) hybrid \(slm.path)") {
            ModelLibrary.Writer(
                model: try Writers.slm(slm, manifest: manifest, format: format))
        }
        return (writer, bridge)
    }

    /// The same decoder with another to propose, as a writer of its own: weights are shared.
    private mutating func speculating(
        _ author: Route.Author, with small: Int
    ) throws -> Route.Author {
        let large = writers[author.writer].model
        let draftModel = writers[small].model
        let writer = try writer("\(author.writer) with \(small)") {
            ModelLibrary.Writer(model: large, draftModel: draftModel)
        }
        return Route.Author(
            model: author.model, writer: writer, bridge: author.bridge, head: author.head,
            tokenizer: author.tokenizer)
    }

    private func path(_ folder: String) -> String {
        let joined = folder.hasPrefix("/") ? folder : modelsFolder + "/" + folder
        return URL(fileURLWithPath: joined).resolvingSymlinksInPath().path
    }

    private mutating func folder(_ path: String) throws -> ModelFolder {
        if let open = folders[path] { return open }
        let opened = try ModelFolder(path: path)
        folders[path] = opened
        return opened
    }

    private mutating func reader(_ path: String, format: WeightFormat) throws -> Int {
        let key = "\(format) \(path)"
        if let index = readerOfKey[key] { return index }
        readers.append(try Reader(folder(path), format: format))
        readerOfKey[key] = readers.count - 1
        return readers.count - 1
    }

    private mutating func writer(
        _ key: String, open: () throws -> ModelLibrary.Writer
    ) throws -> Int {
        if let index = writerOfKey[key] { return index }
        writers.append(try open())
        writerOfKey[key] = writers.count - 1
        return writers.count - 1
    }

    /// Job types with the same shortlist share its weights.
    private mutating func head(
        of writer: Int, _ jobType: JobType, model: String
    ) throws -> OutputHead {
        let full = writers[writer].model.head
        guard let shortlist = jobType.shortlist.map(path) else { return full }
        let key = "\(writer) \(shortlist)"
        if let open = headOfKey[key] { return open }
        let tokens = try Shortlist(
            path: shortlist, tokenizer: tokenizer(path(model)), vocabulary: full.columns
        ).tokens
        let head = full.restricted(to: tokens)
        headOfKey[key] = head
        return head
    }

    private mutating func tokenizer(_ path: String) throws -> any Tokenizer {
        if let open = tokenizers[path] { return open }
        let opened = try openTokenizer(folder: path)
        tokenizers[path] = opened
        return opened
    }

    /// The folder by its name, and the model in it by its fingerprint: a small model understands
    /// the states of the one large model that it was trained on.
    private mutating func expectSameFolder(_ manifest: SLMManifest, llm: String) throws {
        let manifestPath = manifest.folder + "/" + SLMManifest.fileName
        let trainedWith = path(manifest.llmPath)
        guard trainedWith == llm else {
            throw InferenceError.wrongModel(
                path: manifestPath,
                expected: "the llm that the job type names, \(llm)", found: trainedWith)
        }
        guard let fingerprint = manifest.llmFingerprint else {
            warnings.append(
                "\(manifestPath) has no llm_fingerprint: that the small model was trained with "
                    + "the large one in \(llm) cannot be checked")
            return
        }
        let found = try folder(llm).fingerprint
        guard found == fingerprint else {
            throw InferenceError.wrongModel(
                path: manifestPath,
                expected: "the llm that the small model was trained with (fingerprint "
                    + "\(fingerprint))",
                found: "another one in \(llm) (fingerprint \(found)); put the model of the "
                    + "training back there, or train the small one again with this one")
        }
    }

    /// What one proposes the other must take for the same: by the file of the tokenizer, the rows
    /// of the vocabulary and the kind of model.
    private func expectSameTokens(_ jobType: JobType, large: Int, small: Int) throws {
        let folders = [path(jobType.reader), path(jobType.slm ?? "")]
        let files = folders.map { FileManager.default.contents(atPath: $0 + "/spiece.model") }
        guard let file = files[0], file == files[1] else {
            throw Refused(
                "expected \(folders[1]) to have the tokenizer of \(folders[0]) (spiece.model), "
                    + "since it proposes tokens in speculative mode, found another")
        }
        let rows = [large, small].map { writers[$0].model.head.columns }
        guard rows[0] == rows[1] else {
            throw Refused(
                "expected \(folders[1]) to have the vocabulary of \(folders[0]) in speculative "
                    + "mode, \(rows[0]) rows, found \(rows[1])")
        }
        guard [large, small].allSatisfy({ writers[$0].model.maximumPositions == nil }) else {
            throw Refused(
                "expected \(folders[0]) and \(folders[1]) to be T5 models in speculative mode, "
                    + "found a GPT-2")
        }
    }

    private func check(_ route: Route) throws {
        let reader = readers[route.reader]
        let limits = route.jobType.limits
        guard route.promptTokenizer.vocabularySize <= reader.vocabularyRows else {
            throw InferenceError.tokenOutsideVocabulary(
                path: reader.path, token: Int32(route.promptTokenizer.vocabularySize - 1),
                rows: reader.vocabularyRows)
        }
        for author in [route.author, route.largeAuthor].compactMap(\.self) {
            guard let all = writers[author.writer].model.maximumPositions else { continue }
            let positions = all - reader.softPromptTokens
            if limits.sourceTokens + limits.newTokens > positions {
                throw Refused(
                    "expected limits.source_tokens + limits.new_tokens to be at most \(positions), "
                        + "the positions of \(path(author.model))"
                        + (positions < all ? " without its soft prompt, " : ", ")
                        + "got \(limits.sourceTokens) + \(limits.newTokens)")
            }
        }
        guard limits.newTokens <= T5Decoder.maximumResponse else {
            throw Refused(
                "expected limits.new_tokens to be at most \(T5Decoder.maximumResponse), "
                    + "got \(limits.newTokens)")
        }
    }
}

extension WeightFormat {
    fileprivate init(_ dtype: JobType.NumberType) {
        self =
            switch dtype {
            case .float32: .float32
            case .bfloat16: .bfloat16
            case .int8: .int8
            }
    }
}

private struct Refused: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}
