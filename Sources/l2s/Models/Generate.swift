import ArgumentParser
import Checkpoints
import Foundation
import Inference
import Jobs
import Pipeline
import Programs
import Settings

struct Generate: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Put documents through a model, without a database.",
        discussion: """
            Reads JSON Lines {"document": "…"} from standard input, or a document per line with \
            --text, and writes a line per document in the same order:
              {"index": 0, "text": "…", "timings": {"encode_ms": 1.9}, "token_ids": [5]}
            The object of a document may hold "metadata", which overrides --metadata. The output also \
            holds "truncated": true or "parts": 2 if --overflow applied, "cut_off": true if it reached \
            --max-new-tokens before its end, and "unknown_tokens": 1 if the model has no token for \
            something in the document. A line that cannot be processed gives {"index": 3, "error": \
            "line 4: …"}; the others go on, and the exit code is 1. Any amount of input may be piped \
            through: it is read as fast as it is processed.

            Either --job-type or --model says what writes. With --job-type, everything that a job \
            file can say is taken from that type's file, and none of it from flags.
            """)

    @Option(help: "Write as the file of this job type in the jobs folder says.")
    var jobType: String?

    @OptionGroup var folders: FolderOptions

    @Option(
        help: ArgumentHelp(
            "A model folder of Hugging Face, a GGUF file, or an SLM folder with l2s.json.",
            valueName: "folder"))
    var model: String?

    @Option(
        help: ArgumentHelp(
            "An adapter (LoRA, as PEFT saves it) that is merged into the large model.",
            valueName: "folder"))
    var adapter: String?

    @Option(
        help: """
            Who reads and who writes. llm: the large model both; hybrid: the large model reads and \
            the small one writes; slm: the small model both; speculative: as llm, with the small \
            model to propose tokens. The large model of an SLM folder is \
            the one that its l2s.json names. Default: hybrid for an SLM folder, otherwise llm.
            """)
    var mode: JobType.Mode?

    @Option(
        help: """
            How weights are held: float32, bfloat16, int8 or int4. Fewer bits are read faster. Default: \
            auto, as the folder is packed, otherwise int8 (float32 below two million weights).
            """)
    var dtype: JobType.NumberType?

    @Flag(help: "Every line of the input is a document, not JSON.")
    var text = false

    @Option(
        help: """
            What the models read; {document} stands for the document, {metadata.NAME} for text of its \
            metadata.
            """)
    var prompt = PromptTemplate.placeholder

    @Option(
        help: ArgumentHelp(
            "What the decoder is given before it writes, special tokens included; no part of the "
                + "output.", valueName: "text"))
    var decoderPrompt: String?

    @Option(help: MetadataField.help)
    var metadata: [MetadataField] = []

    @Option(
        help: ArgumentHelp(
            "The most tokens of an output: \(jobFields.newTokens.about.expected). Default: what a "
                + "translator's folder says, otherwise \(jobFields.newTokens.standard).",
            valueName: "n"))
    var maxNewTokens: Int?

    @Option(
        help: ArgumentHelp(
            "The fewest tokens of an output. Default: what a translator's folder says, "
                + "otherwise \(jobFields.minimumNewTokens.standard).", valueName: "n"))
    var minNewTokens: Int?

    @Option(
        help: ArgumentHelp(
            "Outputs followed at a time: \(jobFields.beams.about.expected). Default: what a translator's "
                + "folder says, otherwise \(jobFields.beams.standard).", valueName: "n"))
    var beams: Int?

    @Option(
        help: ArgumentHelp(
            "What documents are written in, as the model's tokenizer calls it: en_XX, eng_Latn.",
            valueName: "name"))
    var sourceLanguage: JobType.Language?

    @Option(
        help: ArgumentHelp(
            "What outputs are written in, called in the same way.", valueName: "name"))
    var targetLanguage: JobType.Language?

    @Option(
        help: ArgumentHelp(
            "The most tokens of a prompt, end token included: \(jobFields.sourceTokens.about.expected). "
                + "Default: \(jobFields.sourceTokens.standard), or what the model has positions for.",
            valueName: "n"))
    var maxSourceTokens: Int?

    @Option(help: "What happens to a document with more tokens: fail, truncate, split or reduce.")
    var overflow = JobType.Overflow.fail

    @Option(
        help: ArgumentHelp(
            "Documents that are encoded, and written by one decoder, together: "
                + "\(jobFields.documents.about.expected).", valueName: "n"))
    var batchSize = jobFields.documents.standard

    @Option(
        help: ArgumentHelp(
            "Threads that compute, 1 to 1024. Default: the machine's cores.", valueName: "n"))
    var threads: Int?

    /// Flags for what a job file says by fields of its own.
    private var flagsOfJobFiles: [(name: String, isGiven: Bool)] {
        [
            ("--model", model != nil), ("--adapter", adapter != nil), ("--mode", mode != nil),
            ("--dtype", dtype != nil), ("--prompt", prompt != PromptTemplate.placeholder),
            ("--decoder-prompt", decoderPrompt != nil), ("--max-new-tokens", maxNewTokens != nil),
            ("--min-new-tokens", minNewTokens != nil), ("--beams", beams != nil),
            ("--source-language", sourceLanguage != nil),
            ("--target-language", targetLanguage != nil),
            ("--max-source-tokens", maxSourceTokens != nil), ("--overflow", overflow != .fail),
        ]
    }

    func validate() throws {
        func expect(_ flag: String, _ value: Int, in range: ClosedRange<Int>) throws {
            guard range.contains(value) else {
                throw ValidationError(
                    "expected \(flag) to be a whole number from \(range.lowerBound) to "
                        + "\(range.upperBound), got \(value)")
            }
        }
        func expect(_ flag: String, _ value: Int, as field: Field<Int>) throws {
            guard field.accepts("\(value)") else {
                throw ValidationError(
                    "expected \(flag) to be \(field.about.expected), got \(value)")
            }
        }
        try expect("--batch-size", batchSize, as: jobFields.documents)
        try expect("--threads", threads ?? 1, in: 1...1024)
        guard jobType == nil else {
            if let flag = flagsOfJobFiles.first(where: \.isGiven)?.name {
                throw ValidationError(
                    "expected \(flag) to be left out with --job-type, whose file says it, got both")
            }
            return
        }
        guard model != nil else {
            throw ValidationError("expected --job-type or --model, got neither")
        }
        try expect("--max-new-tokens", newTokens, as: jobFields.newTokens)
        try expect("--min-new-tokens", minNewTokens ?? 0, in: 0...newTokens)
        try expect("--beams", beams ?? 1, as: jobFields.beams)
        if mode == .speculative { try expect("--beams", beams ?? 1, in: 1...1) }
        try expect("--max-source-tokens", maxSourceTokens ?? 1, as: jobFields.sourceTokens)
        let templates = try templates()
        let languages = [sourceLanguage, targetLanguage].compactMap(\.self)
        let fields =
            templates.prompt.fields + (templates.decoder?.fields ?? [])
            + languages.compactMap(\.field)
        try check(metadata, of: fields)
    }

    private func check(_ metadata: [MetadataField], of fields: [String]) throws {
        try metadata.expectOneOf(fields)
        if text { try metadata.expectAll(fields) }
    }

    private func templates() throws -> (prompt: PromptTemplate, decoder: PromptTemplate?) {
        guard let prompt = PromptTemplate(prompt) else {
            throw ValidationError(
                "expected --prompt to hold \(PromptTemplate.placeholder) exactly once, and fields as "
                    + "{metadata.NAME}")
        }
        if decoderPrompt?.isEmpty == true {
            throw ValidationError("expected --decoder-prompt to hold text, got none")
        }
        let decoder = decoderPrompt.flatMap(PromptTemplate.init(decoder:))
        guard (decoder == nil) == (decoderPrompt == nil) else {
            throw ValidationError(
                "expected --decoder-prompt to hold no \(PromptTemplate.placeholder), and fields as "
                    + "{metadata.NAME}")
        }
        return (prompt, decoder)
    }

    func run() async throws {
        let (jobType, modelsFolder) = try whatWrites()
        let threads = threadCount(threads)
        let settings = PipelineSettings(threads: threads, rows: batchSize)
        let pipeline = try await blocking {
            do {
                let library = try ModelLibrary(jobTypes: [jobType], modelsFolder: modelsFolder)
                for warning in library.warnings { Console.note("warning: \(warning)") }
                return Pipeline(library: library, settings: settings)
            } catch let error as ModelLibraryError {
                // The job type is made of flags: its name says nothing.
                throw Failure(error.reason)
            }
        }
        defer { pipeline.stop() }
        let faults = try await generate(
            from: InputFile(path: "-"), text ? .text : .json, fields: metadata.texts,
            jobType: jobType.name, by: pipeline
        ) { lines in
            Console.show(lines.map { $0.json + "\n" }.joined())
        }
        if faults > 0 { throw ExitCode.foundFaults }
    }

    private func whatWrites() throws -> (JobType, modelsFolder: String) {
        guard let jobType else { return (try jobType(of: model ?? ""), "/") }
        let installation = try folders.installation
        var type = try loadJobTypes(folder: installation.jobsFolder).named(jobType)
        type.timeout = JobType.longestTimeout
        try check(metadata, of: type.fields)
        return (type, installation.modelsFolder)
    }

    /// What a job file would say, from the flags.
    private func jobType(of model: String) throws -> JobType {
        let templates = try templates()
        let folder = URL(fileURLWithPath: model).path
        let isSmall = SLMManifest.exists(in: folder)
        let mode = mode ?? (isSmall ? .hybrid : .llm)
        var llm: String?
        if mode == .hybrid || mode == .speculative || (mode == .llm && isSmall) {
            llm = try SLMManifest(folder: folder).llmPath
        } else if mode == .llm {
            llm = folder
        }
        let sourceTokens = sourceTokens(
            decoder: mode == .hybrid || mode == .slm ? folder : llm ?? folder, llm: llm)
        var jobType = JobType(
            name: "generate", mode: mode, llm: llm,
            adapter: adapter.map { URL(fileURLWithPath: $0).path },
            slm: mode == .llm ? nil : folder,
            dtype: dtype ?? .auto,
            prompt: templates.prompt, decoderPrompt: templates.decoder,
            limits: JobType.Limits(
                documentBytes: InputFile.limit, sourceTokens: sourceTokens,
                newTokens: newTokens,
                minimumNewTokens: minNewTokens ?? jobFields.minimumNewTokens.standard,
                overflow: overflow),
            batch: JobType.BatchLimits(
                documents: batchSize,
                paddedTokens: max(sourceTokens, min(1_048_576, batchSize * sourceTokens)),
                wait: .milliseconds(20)),
            // The caller sees an error at once and can run the document again.
            retry: JobType.RetryPolicy(
                maximumAttempts: 1, backoff: .zero, maximumBackoff: .zero),
            timeout: JobType.longestTimeout)
        (jobType.sourceLanguage, jobType.targetLanguage) = (sourceLanguage, targetLanguage)
        jobType.leftToModel = .all
        if maxNewTokens != nil { jobType.leftToModel.remove(.newTokens) }
        if minNewTokens != nil { jobType.leftToModel.remove(.minimumNewTokens) }
        if let beams {
            jobType.decoding.beams = beams
            jobType.leftToModel.remove(.beams)
        }
        return jobType
    }

    private var newTokens: Int { maxNewTokens ?? jobFields.newTokens.standard }

    private func sourceTokens(decoder folder: String, llm: String?) -> Int {
        if let maxSourceTokens { return maxSourceTokens }
        // What is wrong with the folders is said when they are opened for use.
        let reader = llm.flatMap { try? ModelFolder(path: $0).configuration }
        guard case .classic(let classic) = reader else { return sourceTokens(decoder: folder) }
        return min(classic.maximumPositions, sourceTokens(decoder: folder))
    }

    private func sourceTokens(decoder folder: String) -> Int {
        let most = jobFields.sourceTokens.standard
        let (width, positions): (Int, Int)
        switch try? ModelFolder(path: folder).configuration {
        case .gpt2(let gpt2): (width, positions) = (gpt2.width, gpt2.positions)
        case .rotary(let rotary): (width, positions) = (rotary.width, rotary.positions)
        case .classic(let classic): return min(most, classic.maximumPositions)
        case .t5, .t5gemma, nil: return most
        }
        let vectors = (try? SoftPrompt.stored(in: folder, width: width))?.shape[0] ?? 0
        let left = positions - vectors - newTokens
        return left > 0 ? min(most, left) : most
    }
}

extension JobType.Mode: ExpressibleByArgument {}
extension JobType.NumberType: ExpressibleByArgument {}
extension JobType.Overflow: ExpressibleByArgument {}
extension JobType.Language: ExpressibleByArgument {
    public init?(argument: String) { self.init(argument) }
}
