import Checkpoints
internal import FoundationEssentials

/// A model's chat template, which says how a conversation is spelled for the model. Templates are
/// written in Jinja. What the templates of ChatML, Llama 3 and Gemma use of it is known here; the
/// rest is refused by its name.
///
/// Source: huggingface/transformers, utils/chat_template_utils.py (blocks are trimmed as there).
package struct ChatTemplate: Sendable {
    private let nodes: [TemplateNode]

    /// - Throws: `ChatTemplateError`.
    package init(_ text: String) throws(ChatTemplateError) {
        var parser = TemplateParser(try TemplateLexer(text).tokens())
        nodes = try parser.template()
    }

    /// The prompt that asks for an answer to one message of the user.
    ///
    /// - Parameters:
    ///   - message: what the user says, such as the placeholder of a document.
    ///   - tokens: the texts of `bos_token`, `eos_token` and other special tokens, by these names.
    /// - Throws: `ChatTemplateError`.
    package func prompt(
        _ message: String, tokens: [String: String] = [:]
    ) throws(ChatTemplateError) -> String {
        var run = TemplateRun(
            variables: [
                "messages": .list([
                    .map([("role", .text("user")), ("content", .text(message))])
                ]),
                "add_generation_prompt": .flag(true), "tools": .none, "documents": .none,
            ])
        for (name, text) in tokens { run.variables[name] = .text(text) }
        try run.write(nodes)
        return run.output
    }
}

/// Says what in a chat template cannot be rendered.
package struct ChatTemplateError: Error, Equatable, CustomStringConvertible {
    package let description: String
    init(_ description: String) { self.description = description }
}

/// The chat template of a model folder, from chat_template.jinja, tokenizer_config.json or a GGUF
/// file, and the texts of the model's special tokens. Nil when there is none.
///
/// - Throws: `TokenizerError`, `ChatTemplateError`.
package func chatTemplate(
    folder: String
) throws -> (template: ChatTemplate, tokens: [String: String])? {
    let settings = folder + "/tokenizer_config.json"
    let tree = fileExists(settings) ? try JSONTree(file: settings) : nil
    var tokens: [String: String] = [:]
    for name in ["bos_token", "eos_token", "pad_token", "unk_token"] {
        tokens[name] = tree?[name]?.text ?? tree?[name]?["content"]?.text
    }
    let file = folder + "/chat_template.jinja"
    if fileExists(file) {
        let text = String(decoding: try readTokenizerBytes(file), as: UTF8.self)
        return (try ChatTemplate(text), tokens)
    }
    let listed = tree?["chat_template"]
    let named = listed?.list?.first { $0["name"]?.text == "default" }?["template"]
    guard let text = listed?.text ?? named?.text else {
        return try GGUFFile.find(at: folder).flatMap {
            try chatTemplate(metadata: GGUFFile(path: $0).metadata)
        }
    }
    return (try ChatTemplate(text), tokens)
}

/// The chat template of a GGUF file, and the texts of the model's special tokens. Nil when there is
/// none.
func chatTemplate(
    metadata: any VocabularyMetadata
) throws -> (template: ChatTemplate, tokens: [String: String])? {
    guard let text = try metadata.text("tokenizer.chat_template") else { return nil }
    let spelling = try metadata.texts("tokenizer.ggml.tokens") ?? []
    var tokens: [String: String] = [:]
    for (name, key) in [
        ("bos_token", "bos"), ("eos_token", "eos"), ("pad_token", "padding"),
        ("unk_token", "unknown"),
    ] {
        guard let id = try metadata.whole("tokenizer.ggml.\(key)_token_id"),
            spelling.indices.contains(id)
        else { continue }
        tokens[name] = spelling[id]
    }
    return (try ChatTemplate(text), tokens)
}
