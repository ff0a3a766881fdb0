import Foundation
import TestSupport
import Testing

/// What `make install` and `make deb` copy, with the programs of this build.
@Suite(.timeLimit(.minutes(15))) struct InstallTests {
    private let scratch: ScratchFolder
    private let programs: String

    init() throws {
        scratch = try ScratchFolder()
        programs =
            URL(fileURLWithPath: try BuiltProgram("l2s").path)
            .deletingLastPathComponent().path
    }

    private func deploy(_ script: String, _ arguments: String...) async throws {
        let path = URL(filePath: #filePath).resolvingSymlinksInPath()
            .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
            .appending(path: "deploy/\(script)").path
        // Debug programs are large, and compressing them would take long.
        let ending = try await BuiltProgram(path: path).run(
            arguments, environment: ["DPKG_DEB_COMPRESSOR_TYPE": "none"])
        #expect(ending.status == 0, "\(ending.remarks)")
    }

    @Test func anInstalledProgramFindsItsJobTypesAndHasManualPages() async throws {
        let prefix = scratch.path + "/prefix"
        try await deploy("install", programs, prefix)
        // Its large model is not there before it has been fetched.
        let check = try await BuiltProgram(path: prefix + "/bin/l2s").run(
            ["check"], environment: ["L2S_HOME": "", "XDG_CACHE_HOME": scratch.path])
        #expect(check.status == 1, "\(check.output)")
        #expect(check.output.contains("translate-en-it"))
        #expect((check.output + check.remarks).contains("l2s fetch"))
        for (page, holds) in [
            ("l2s", "\\-\\-version"), ("l2s-worker", "EXIT CODES"), ("l2s-enqueue", "job\\-type"),
        ] {
            let text = try String(
                contentsOfFile: "\(prefix)/share/man/man1/\(page).1", encoding: .utf8)
            #expect(text.hasPrefix(".TH \(page.uppercased()) 1 \"\" \"l2s "))
            #expect(text.contains("\n\(page) \\- ") && text.contains(holds), "\(page)")
        }
        for completion in [
            "bash-completion/completions/l2s", "zsh/vendor-completions/_l2s-worker",
            "fish/vendor_completions.d/l2s.fish",
        ] {
            let text = try String(
                contentsOfFile: "\(prefix)/share/\(completion)", encoding: .utf8)
            #expect(text.contains("l2s"), "\(completion)")
        }
    }

    @Test(
        .enabled(if: BuiltProgram(installed: "dpkg-shlibdeps") != nil, "needs dpkg-dev"))
    func theDebianPackageNamesItsLibrariesAndHoldsTheUnit() async throws {
        let package = scratch.path + "/l2s.deb"
        try await deploy("make-deb", programs, package)
        let dpkg = try #require(BuiltProgram(installed: "dpkg-deb"))
        let depends = try await dpkg.run(["--field", package, "Depends"]).output
        #expect(depends.contains("libpq5") && depends.contains("libsentencepiece0"))
        let content = try await dpkg.run(["--contents", package]).output
        for file in [
            "/usr/bin/l2s-worker", "/lib/systemd/system/l2s-worker.service",
            "/usr/share/l2s/models/smollm2-tasks/adapter_config.json",
            "/usr/share/l2s/jobs/summarize.yaml",
            "/usr/share/man/man1/l2s.1.gz",
        ] {
            #expect(content.contains("root/root") && content.contains(".\(file)\n"), "\(file)")
        }
    }
}
