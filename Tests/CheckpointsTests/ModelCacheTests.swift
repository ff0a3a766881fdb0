import Checkpoints
import FoundationEssentials
import TestSupport
import Testing

/// Models are looked for in the models folder first, then among those that were fetched.
@Suite struct ModelCacheTests {
    @Test func theFirstVariableThatIsSetNamesTheFolder() {
        #expect(
            ModelCache.folder(environment: ["L2S_CACHE": "/a", "XDG_CACHE_HOME": "/b"]) == "/a")
        #expect(
            ModelCache.folder(environment: ["L2S_CACHE": "", "XDG_CACHE_HOME": "/b"]) == "/b/l2s")
        #expect(ModelCache.folder(environment: ["HOME": "/c"]) == "/c/.cache/l2s")
        #expect(ModelCache.folder(environment: [:]) == nil)
    }

    @Test func theModelsFolderComesFirst() throws {
        let scratch = try ScratchFolder()
        let environment = ["L2S_CACHE": scratch.path + "/cache"]
        func make(_ folder: String) throws {
            try FileManager.default.createDirectory(
                atPath: scratch.path + "/" + folder, withIntermediateDirectories: true)
        }
        func found(_ model: String) -> String {
            String(
                ModelCache.locate(model, in: scratch.path + "/models", environment: environment)
                    .dropFirst(scratch.path.count))
        }
        try make("models/both")
        try make("cache/both")
        try make("cache/fetched")
        #expect(found("both") == "/models/both")
        #expect(found("fetched") == "/cache/fetched")
        #expect(found("neither") == "/models/neither")
        // Such a path comes from the manifest of a small model.
        #expect(found(scratch.path + "/models/small/../fetched") == "/cache/fetched")
        #expect(found(scratch.path + "/models/small/../neither").hasSuffix("small/../neither"))
    }

    @Test func whatIsToBeFetchedIsSaid() {
        do {
            _ = try ModelFolder(path: "/nowhere/" + ModelCache.defaultModel)
            Issue.record("expected an error")
        } catch {
            #expect("\(error)".contains("run `l2s fetch`"))
        }
    }
}
