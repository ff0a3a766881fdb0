internal import Checkpoints
internal import Foundation
internal import Inference
package import Jobs
internal import Tokenizers

/// Every model that a set of job types needs, each opened once per process.
///
/// Only the parts that a mode needs are loaded: a large model whose documents all go to small
/// decoders comes without its own.
package struct ModelLibrary: Sendable {
    let readers: [Reader]
    let writers: [any ResponseModel]
    let routes: [String: Route]

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
    var writers: [any ResponseModel] = []
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
        let readerPath = path(jobType.reader)
        let writerPath = path(jobType.writer)
        let isHybrid = jobType.mode == .hybrid
        let format = WeightFormat(jobType.dtype)
        let reader = try reader(readerPath, format: format)
        let writer: Int
        let bridge: Bridge
        if isHybrid {
            let manifest = try SLMManifest(folder: writerPath)
            try expectSameFolder(manifest, llm: readerPath)
            let slm = try folder(writerPath)
            bridge = try Bridge(manifest, slm: slm, reader: readers[reader])
            writer = try self.writer("\(format) hybrid \(writerPath)") {
                try Writers.slm(slm, manifest: manifest, format: format)
            }
        } else {
            bridge = .identity
            let own = try folder(writerPath)
            writer = try self.writer("\(format) own \(writerPath)") {
                try Writers.own(own, format: format)
            }
        }
        let route = Route(
            jobType: jobType, reader: reader, writer: writer, bridge: bridge,
            head: try head(of: writer, jobType),
            promptTokenizer: try tokenizer(readerPath),
            outputTokenizer: try tokenizer(writerPath))
        try check(route)
        return route
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
        _ key: String, open: () throws -> any ResponseModel
    ) throws -> Int {
        if let index = writerOfKey[key] { return index }
        writers.append(try open())
        writerOfKey[key] = writers.count - 1
        return writers.count - 1
    }

    /// Job types with the same shortlist share its weights.
    private mutating func head(of writer: Int, _ jobType: JobType) throws -> OutputHead {
        let full = writers[writer].head
        guard let shortlist = jobType.shortlist.map(path) else { return full }
        let key = "\(writer) \(shortlist)"
        if let open = headOfKey[key] { return open }
        let tokens = try Shortlist(
            path: shortlist, tokenizer: tokenizer(path(jobType.writer)), vocabulary: full.columns
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

    private func expectSameFolder(_ manifest: SLMManifest, llm: String) throws {
        let trainedWith = path(manifest.llmPath)
        guard trainedWith == llm else {
            throw InferenceError.wrongModel(
                path: manifest.folder + "/l2s.json",
                expected: "the llm that the job type names, \(llm)", found: trainedWith)
        }
    }

    private func check(_ route: Route) throws {
        let reader = readers[route.reader]
        let writer = writers[route.writer]
        let limits = route.jobType.limits
        guard route.promptTokenizer.vocabularySize <= reader.vocabularyRows else {
            throw InferenceError.tokenOutsideVocabulary(
                path: reader.path, token: Int32(route.promptTokenizer.vocabularySize - 1),
                rows: reader.vocabularyRows)
        }
        if let positions = writer.maximumPositions,
            limits.sourceTokens + limits.newTokens > positions
        {
            throw Refused(
                "expected limits.source_tokens + limits.new_tokens to be at most \(positions), "
                    + "the positions of \(path(route.jobType.writer)), "
                    + "got \(limits.sourceTokens) + \(limits.newTokens)")
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
