import Checkpoints
import Foundation

/// Fetches a model from a Hugging Face hub into the cache folder. It takes the files that l2s
/// reads, all from the same commit, and checks each against the hub's own hash.
package struct HubFetch {
    private let reference: HubReference
    private let cache: String
    private let client: HubClient
    /// Called with what happens, a line at a time.
    private let note: (String) -> Void

    package static let standardEndpoint = "https://huggingface.co"

    /// - Parameter environment: `HF_ENDPOINT` names another hub and `HF_TOKEN` the account, as for
    ///   Hugging Face's own tools. curl gets the environment, too.
    package init(
        _ reference: HubReference, cache: String, environment: [String: String],
        curl: String = "curl", note: @escaping (String) -> Void
    ) {
        func given(_ name: String) -> String? {
            environment[name].flatMap { $0.isEmpty ? nil : $0 }
        }
        self.reference = reference
        self.cache = cache
        self.note = note
        let endpoint = given("HF_ENDPOINT") ?? Self.standardEndpoint
        client = HubClient(
            endpoint: endpoint.hasSuffix("/") ? String(endpoint.dropLast()) : endpoint,
            token: given("HF_TOKEN"), curl: curl, environment: environment)
    }

    /// Where a model came from. This is kept beside its files.
    private struct Source: Codable {
        let endpoint, repository, revision: String
    }

    package struct HubError: Error, Equatable, Sendable, CustomStringConvertible {
        package let description: String
    }

    private static let sourceFile = ".l2s-source.json"
    private var target: String { "\(cache)/\(reference.repository)" }
    private var files: FileManager { .default }

    private func fail(_ reason: String) -> HubError {
        HubError(description: "expected to fetch \(reference) from \(client.endpoint), \(reason)")
    }

    /// - Returns: the model's folder, its commit, and whether anything had to be fetched.
    /// - Throws: `HubError`, and `CheckpointError` where the cache cannot be written.
    package func run() throws -> (folder: String, revision: String, isNew: Bool) {
        if let token = client.token, let flaw = HubClient.flaw(of: token) {
            throw HubError(
                description: "HF_TOKEN is no token of a hub: \(flaw); copy it from your account")
        }
        let found = try? JSONDecoder().decode(
            Source.self,
            from: Data(contentsOf: URL(fileURLWithPath: target + "/" + Self.sourceFile)))
        // A commit never changes, so one that is in the cache needs no network.
        if let found, found.revision == reference.revision {
            return (target, found.revision, false)
        }
        let unfinished = "\(cache)/.unfinished/\(reference.repository)"
        try make(unfinished)
        let lock = try FileLock(path: unfinished + "/lock", purpose: "fetch \(reference)")
        defer { withExtendedLifetime(lock) {} }
        let listing = try list(unfinished)
        if let found, found.revision == listing.sha { return (target, found.revision, false) }
        guard let needed = listing.needed else {
            throw fail(
                listing.choices.count > 1
                    ? "found several GGUF files, \(listing.choices.prefix(8).joined(separator: ", ")): "
                        + "download the one that you want into a folder of the models folder"
                    : "found no weights in a format that l2s reads (safetensors, pytorch_model.bin "
                        + "or GGUF)")
        }
        let folder = unfinished + "/" + listing.sha
        try make(folder)
        for file in needed { try fetch(file, of: listing.sha, to: folder) }
        let source = Source(
            endpoint: client.endpoint, repository: reference.repository, revision: listing.sha)
        try JSONEncoder().encode(source).write(
            to: URL(fileURLWithPath: folder + "/" + Self.sourceFile))
        try publish(folder)
        try? files.removeItem(atPath: unfinished)
        return (target, listing.sha, true)
    }

    private func make(_ folder: String) throws {
        do {
            try files.createDirectory(atPath: folder, withIntermediateDirectories: true)
        } catch {
            throw fail("found that \(folder) cannot be made (\(error.localizedDescription))")
        }
    }

    /// Puts the new folder in its place, where it replaces an older one.
    private func publish(_ folder: String) throws {
        let old = folder + ".old"
        do {
            try make(String(target.prefix(upTo: target.lastIndex(of: "/") ?? target.endIndex)))
            if files.fileExists(atPath: target) {
                try files.moveItem(atPath: target, toPath: old)
            }
            try files.moveItem(atPath: folder, toPath: target)
        } catch {
            throw fail("found that \(target) cannot be written (\(error.localizedDescription))")
        }
    }

    private func list(_ scratch: String) throws -> HubListing {
        let path = "api/models/\(reference.repository)/revision/\(reference.revision)?blobs=true"
        let text = try asking { try client.text(path, via: scratch + "/listing.json") }
        guard let listing = try? JSONDecoder().decode(HubListing.self, from: text),
            HubReference.isPath(listing.sha), !listing.sha.contains("/"),
            listing.siblings.allSatisfy({ $0.bytes ?? 0 >= 0 })
        else { throw fail("found an answer that is no list of files; is it a hub?") }
        return listing
    }

    private func fetch(_ file: HubListing.File, of revision: String, to folder: String) throws {
        let name = file.rfilename
        guard HubReference.isPath(name), !name.contains("/") else {
            throw fail("found a file with a name that is not allowed, \(name.debugDescription)")
        }
        let whole = folder + "/" + name
        let part = whole + ".part"
        if files.fileExists(atPath: whole) { return }
        note("fetching \(name)" + (file.bytes.map { ", \($0 / 1_000_000) MB" } ?? ""))
        // A part that another file left, or that is damaged, is fetched from its beginning.
        for attempt in 1...2 {
            try asking {
                try client.download(
                    "\(reference.repository)/resolve/\(revision)/\(name)", to: part)
            }
            // curl writes nothing for an empty file.
            if !files.fileExists(atPath: part) { _ = files.createFile(atPath: part, contents: nil) }
            if try isRight(part, file) { break }
            try files.removeItem(atPath: part)
            guard attempt == 1 else {
                throw fail(
                    "found that \(name) is not what the hub says it is (\(file.bytes ?? 0) bytes, "
                        + "\(file.lfs?.sha256 ?? file.blobId ?? "no hash")), twice")
            }
            note("\(name) is damaged, fetching it again")
        }
        try files.moveItem(atPath: part, toPath: whole)
    }

    private func isRight(_ path: String, _ file: HubListing.File) throws -> Bool {
        let handle = try FileHandle(forReadingFrom: URL(fileURLWithPath: path))
        defer { try? handle.close() }
        let size = try handle.seekToEnd()
        if let bytes = file.bytes, size != UInt64(bytes) { return false }
        try handle.seek(toOffset: 0)
        if let large = file.lfs {
            var hash = SHA256()
            while let part = try handle.read(upToCount: 1 << 20), !part.isEmpty {
                hash.update(Array(part))
            }
            return hash.finish() == large.sha256
        }
        guard let blob = file.blobId else { return true }
        return SHA1.ofGitBlob(Array(try handle.readToEnd() ?? Data())) == blob
    }

    /// Does the work, and puts into words what went wrong.
    private func asking<Answer>(_ work: () throws -> Answer) throws -> Answer {
        do {
            return try work()
        } catch let failure as HubClient.Failure {
            switch failure {
            case .missingProgram:
                throw fail("found no curl, which does the downloading; install it")
            case .status(401), .status(403):
                throw fail(
                    "found it gated or private: accept its terms at \(client.endpoint)/"
                        + "\(reference.repository), and set HF_TOKEN to a token of your account")
            case .status(404):
                throw fail("found no such model, or no revision \(reference.revision) of it")
            case .status(let status):
                throw fail("found the answer \(status); try again later")
            case .transfer(let code):
                throw fail(
                    "found that the connection could not be made or broke (curl exit code \(code)); "
                        + "run it again to go on where it stopped, and see HF_ENDPOINT for a mirror"
                )
            }
        }
    }
}
