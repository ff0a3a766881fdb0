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
    ])
    func whatIsBeyondIsNamed(text: String, reason: String) {
        do {
            let rendered = try ChatTemplate(text).prompt("a")
            Issue.record("rendered \(rendered)")
        } catch {
            #expect(error.description.contains(reason), "\(error)")
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
