import Foundation
import Testing

@testable import Settings

@Suite struct InstallationTests {
    /// A tree `root/app/{jobs,models,deep/bin}`, gone after `body`.
    private func withTree(_ body: (String) throws -> Void) throws {
        let root =
            FileManager.default.temporaryDirectory.path(percentEncoded: false) + "/"
            + UUID().uuidString
        for folder in ["app/jobs", "app/models", "app/deep/bin", "app/deep/jobs"] {
            try FileManager.default.createDirectory(
                atPath: "\(root)/\(folder)", withIntermediateDirectories: true)
        }
        defer { try? FileManager.default.removeItem(atPath: root) }
        try body(root)
    }

    @Test func theNearestFolderAboveTheProgramWithBothIsTaken() throws {
        try withTree { root in
            let found = try Installation(
                RawSettings(flags: [:], environment: [:]), program: "\(root)/app/deep/bin/l2s")
            #expect(found.jobsFolder == "\(root)/app/jobs")
            #expect(found.modelsFolder == "\(root)/app/models")
        }
    }

    @Test func whatIsSharedBesideTheProgramIsFound() throws {
        try withTree { root in
            for folder in ["jobs", "models"] {
                try FileManager.default.createDirectory(
                    atPath: "\(root)/prefix/share/l2s/\(folder)", withIntermediateDirectories: true)
            }
            let found = try Installation(
                RawSettings(flags: [:], environment: [:]), program: "\(root)/prefix/bin/l2s")
            #expect(found.jobsFolder == "\(root)/prefix/share/l2s/jobs")
            #expect(found.modelsFolder == "\(root)/prefix/share/l2s/models")
        }
    }

    @Test func whatIsGivenGoesFirst() throws {
        try withTree { root in
            let raw = RawSettings(
                flags: [.jobs: "\(root)/app/deep/jobs"], environment: ["L2S_HOME": "\(root)/app"])
            let found = try Installation(raw, program: "")
            #expect(found.jobsFolder == "\(root)/app/deep/jobs")
            #expect(found.modelsFolder == "\(root)/app/models")
        }
    }

    @Test func aWrongHomeIsNotPassedOver() throws {
        try withTree { root in
            let raw = RawSettings(flags: [:], environment: ["L2S_HOME": "\(root)/app/deep"])
            let refusals = try #require(throws: Refusals.self) {
                try Installation(raw, program: "\(root)/app/deep/bin/l2s")
            }
            #expect(refusals.all.first?.field == "L2S_HOME")
        }
    }

    @Test func theRefusalSaysWhereItLooked() throws {
        let refusals = try #require(throws: Refusals.self) {
            try Installation(
                RawSettings(flags: [:], environment: [:]), program: "/nowhere/bin/l2s")
        }
        #expect(
            refusals.description.hasPrefix(
                "expected one of /nowhere/bin, /nowhere, /, /nowhere/share/l2s, "
                    + "/usr/local/share/l2s, /usr/share/l2s to be a folder that holds jobs and models"
            ))
    }

    @Test func theRunningProgramIsKnown() {
        #expect(FileManager.default.isExecutableFile(atPath: Installation.runningProgram))
    }
}
