import Postgres
import Testing

@Suite struct SchemaPlaceholderTests {
    @Test(arguments: [
        ("SELECT l2s.enqueue($1)", #"SELECT "q".enqueue($1)"#),
        ("l2s.a, al2s.b, _l2s.c, äl2s.d", #""q".a, al2s.b, _l2s.c, äl2s.d"#),
        ("pg_notify('l2s_work', '')", "pg_notify('q_work', '')"),
        (#"LISTEN "l2s_work""#, #"LISTEN "q_work""#),
        ("nextval('l2s.document_id')", #"nextval('"q".document_id')"#),
        ("'l2s'::regnamespace", #"'"q"'::regnamespace"#),
        ("IN SCHEMA l2s FROM PUBLIC", #"IN SCHEMA "q" FROM PUBLIC"#),
        ("CREATE SCHEMA l2s", #"CREATE SCHEMA "q""#),
        ("HINT = 'run l2s migrate, l2s-worker'", "HINT = 'run l2s migrate, l2s-worker'"),
        ("", ""), ("l2", "l2"), ("l2s", "l2s"),
    ])
    func theSchemaIsNamedAndTheWordStays(statements: String, rendered: String) {
        #expect(SchemaPlaceholder("l2s", standsFor: "q").render(statements) == rendered)
        #expect(SchemaPlaceholder("l2s", standsFor: "l2s").render(statements) == statements)
    }
}
