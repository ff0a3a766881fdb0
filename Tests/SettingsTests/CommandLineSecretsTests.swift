import Testing

@testable import Settings

@Suite struct CommandLineSecretsTests {
    @Test(arguments: ["postgresql://me:pass@db/x", "host=db password=pass", "no address: pass"])
    func addressesWithAPasswordAreMoved(address: String) {
        let apart = CommandLineSecrets.split(["l2s", "status", "--database-url", address, "--json"])
        #expect(apart.kept == ["l2s", "status", "--json"])
        #expect(apart.moved.map(\.name) == [.databaseURL])
        #expect(apart.moved.map(\.address) == [address])
        let joined = CommandLineSecrets.split(["l2s-worker", "--listen-url=\(address)"])
        #expect(joined.kept == ["l2s-worker"])
        #expect(joined.moved.map(\.address) == [address])
    }

    @Test(arguments: [
        ["l2s", "status", "--database-url", "postgresql://me@db/x?sslmode=require"],
        ["l2s", "--database-url=host=db user=me"], ["l2s", "--database-url"], ["l2s"], [],
    ])
    func othersStay(arguments: [String]) {
        let split = CommandLineSecrets.split(arguments)
        #expect(split.kept == arguments)
        #expect(split.moved.isEmpty)
    }
}
