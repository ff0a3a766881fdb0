import FoundationEssentials
import TestSupport
import Testing

@testable import Tokenizers

/// Chat templates, compared with what transformers renders: see
/// Fixtures/tokenizers/generate_chat.py.
@Suite struct ChatTemplateTests {
    private struct Case: Decodable {
        let name: String
        let template: String
        let tokens: [String: String]
        let rendered: String
    }

    private func cases() throws -> [Case] {
        let path = Fixtures.path("tokenizers/chat-cases.json")
        return try JSONDecoder().decode([Case].self, from: Data(contentsOf: URL(filePath: path)))
    }

    @Test func agreesWithTransformers() throws {
        let cases = try cases()
        #expect(cases.count >= 6)
        for one in cases {
            let template = try ChatTemplate(one.template)
            #expect(
                try template.prompt("{document}", tokens: one.tokens) == one.rendered, "\(one.name)"
            )
        }
    }

    @Test(arguments: [
        ("{% macro x() %}{% endmacro %}", "the statement `macro`"),
        ("{{ messages | tojson }}", "the filter `tojson`"),
        ("{{ strftime_now('%Y') }}", "the function `strftime_now`"),
        ("{{ messages[0].content.split('x') }}", "the method `split`"),
        ("{% if x is odd %}{% endif %}", "the test `odd`"),
        ("{{ raise_exception('no') }}", "refuses one message of a user: no"),
        ("{{ messages", "every block to be closed"),
        ("{% if true %}", "expected elif or else or endif"),
        ("{{ 'a }}", "every quote to be closed"),
        ("{% for a in 3 %}{% endfor %}", "expected a list"),
        ("{{ ; }}", "expected Jinja"),
        ("{{ (1 }}", "expected ), found }}"),
        ("{% if a b %}{% endif %}", "expected %}, found b"),
    ])
    func whatIsBeyondIsNamed(text: String, reason: String) {
        do {
            let rendered = try ChatTemplate(text).prompt("a")
            Issue.record("rendered \(rendered)")
        } catch {
            #expect(error.description.contains(reason), "\(error)")
        }
    }

    @Test(arguments: [
        ("-7 % 3", "2"), ("7 % 3", "1"), ("-6 % 3", "0"),
        ("1 % 9223372036854775807", "1"), ("-1 % 9223372036854775807", "9223372036854775806"),
        ("-9223372036854775807 % 9223372036854775807", "0"),
    ])
    func aRemainderHasTheSignOfItsDivisor(text: String, rest: String) throws {
        #expect(try ChatTemplate("{{ \(text) }}").prompt("a") == rest)
    }

    /// What the expression tree of a template would need of the stack grows with its operators, too.
    @Test(arguments: [
        " + 1", " % 1", " ~ 1", ".a", "[0]", "()", " | safe", " is defined", " == 1", " in a",
        " not in a", " and a", " or a",
    ])
    func operatorsAreBounded(operation: String) throws {
        func expression(_ count: Int) -> String {
            "{% if a" + String(repeating: operation, count: count) + " %}{% endif %}"
        }
        _ = try ChatTemplate(expression(200))
        #expect {
            try ChatTemplate(expression(100_000))
        } throws: {
            "\($0)".contains("expected at most 250 operators in one expression")
        }
    }

    /// The limit holds for each expression, not for all of them together.
    @Test func manyExpressionsAreRendered() throws {
        let text = String(repeating: "{% if a.b %}{% elif a.c %}{% endif %}{{ 1 + 1 }}", count: 500)
        #expect(try ChatTemplate(text).prompt("a") == String(repeating: "2", count: 500))
    }

    @Test(arguments: [
        "{% set x = 'word' %}" + String(repeating: "{% set x = x ~ x %}", count: 40),
        "{% set x = 'word' %}" + String(repeating: "{{ x }}{% set x = x ~ x %}", count: 40),
        "{% set x = [1, 2, 3, 4] %}" + String(repeating: "{% for a in x %}", count: 40)
            + String(repeating: "{% endfor %}", count: 40),
        "{% set x = [1] %}" + String(repeating: "{% set x = [x, x] %}", count: 40)
            + "{{ x == x }}",
    ])
    func workIsBounded(text: String) {
        #expect {
            try ChatTemplate(text).prompt("a")
        } throws: {
            "\($0)".contains("rendered in at most 1000000 steps")
        }
    }

    /// A value that holds all that came before it would exhaust the stack when it goes.
    @Test(arguments: [
        "{% set x = [x] %}", "{% set x = namespace(a=x) %}",
        "{% set n = namespace() %}{% set n.a = n %}",
    ])
    func nestedValuesAreBounded(text: String) {
        #expect {
            try ChatTemplate(String(repeating: text, count: 100_000)).prompt("a")
        } throws: {
            "\($0)".contains("makes at most 1000 lists and namespaces")
        }
    }

    @Test func nestingIsBounded() {
        for text in [
            "{{ " + String(repeating: "(", count: 100_000),
            "{{ " + String(repeating: "not ", count: 100_000),
            String(repeating: "{% if a %}", count: 100_000),
        ] {
            #expect(throws: ChatTemplateError.self) { try ChatTemplate(text) }
        }
    }
}
