package import Jobs

/// What `l2s train` makes, from what, and how: YAML text → one checked value.
package struct TrainingRecipe: Sendable, Equatable {
    /// Relative to the models folder. Nil for models that read by themselves.
    package let llm: String?
    /// Relative to the models folder.
    package let output: String
    /// What the LLM reads of a source, or a model that reads by itself.
    package let prompt: PromptTemplate
    package let architecture: Architecture
    /// How the projected states enter. Nil where no states are projected.
    package let fusion: Fusion?
    package let promptEmbedding: PromptEmbedding
    package let start: Start
    /// How the weights of the output are written.
    package let stored: StoredFormat
    /// Folder of the outputs' tokenizer, relative to the models folder. Nil: the checkpoint's, or
    /// the LLM's.
    package let tokenizer: String?
    /// Hidden width of a new projector. Nil: what `sizes.projector` describes as the default.
    package let projectorWidth: Int?
    /// Learned vectors before every prompt of a model that reads by itself; 0 for none.
    package let softPrompt: Int
    /// Whether the checkpoint stays as it is and the soft prompt alone is trained.
    package let isFrozen: Bool
    /// What is trained beside the LLM's own matrices, for `adapter` and `llm_layers`.
    package let adapter: Adapter?
    /// An adapter that the LLM reads with, relative to the models folder; nil for none.
    package let llmAdapter: String?
    /// An adapter that training goes on from, relative to the models folder; nil for a new one.
    package let startAdapter: String?
    package let precision: Precision
    package let data: Data
    /// Source and target tokens of a batch.
    package let batchTokens: Int
    /// Batches whose gradients make one step.
    package let accumulation: Int
    package let length: Length
    package let optimizer: Optimizer
    /// The share of the label's probability that is spread over all tokens, from 0 to 0.9.
    package let labelSmoothing: Double
    /// For `llmLayers`: the share of the LLM's own distribution in the wanted one, from 0 to 1.
    package let distillation: Double
    /// The share of units left out, from 0 to 0.9.
    package let dropout: Double
    package let seed: UInt64
    /// Steps between validations.
    package let validationInterval: Int
    /// Validations without a better loss until training stops. Nil: it does not.
    package let patience: Int?
    /// Nil: the machine's cores.
    package let threads: Int?
}

extension TrainingRecipe {
    package enum Architecture: String, Sendable, CaseIterable {
        /// A T5 decoder without an encoder, which attends to the projected states.
        case t5Decoder = "t5_decoder"
        /// A T5 whose encoder reads the projected states.
        case t5
        case gpt2
        /// A T5 that reads by itself, without a large model.
        case wholeT5 = "whole_t5"
        /// A GPT-2 that reads by itself, without a large model.
        case wholeGPT2 = "whole_gpt2"
        /// A low-rank adapter of the LLM, which reads and writes.
        case adapter
        /// Some of the LLM's own layers under an adapter, which write upon the keys and values that
        /// the reading left in them.
        case llmLayers = "llm_layers"

        /// Whether low-rank matrices beside those of the LLM are trained.
        package var isAdapter: Bool { self == .adapter || self == .llmLayers }
        package var readsByItself: Bool { self == .wholeT5 || self == .wholeGPT2 }
        package var isGPT2: Bool { self == .gpt2 || self == .wholeGPT2 }
    }

    /// How projected states enter the small model. The names are those of l2s.json.
    package enum Fusion: String, Sendable, CaseIterable {
        case add
        case replace
        case crossAttention = "cross_attention"
    }

    /// Whose embedding of the prompt a GPT-2 adds to the states.
    package enum PromptEmbedding: String, Sendable, CaseIterable {
        case slm
        case llm
    }

    package enum StoredFormat: String, Sendable, CaseIterable {
        case float32
        case bfloat16
    }

    /// What training starts from.
    package enum Start: Sendable, Equatable {
        /// New weights of these sizes.
        case scratch(Sizes)
        /// The weights of a folder, relative to the models folder.
        case checkpoint(String)
        /// These layers of the LLM's decoder, with its embedding and head.
        case llmLayers([Int])
    }

    /// Low-rank matrices beside the LLM's own (Hu et al. 2021, arXiv 2106.09685).
    package struct Adapter: Sendable, Equatable {
        package let rank: Int
        package let alpha: Double
        /// Divides alpha by the root of the rank in place of the rank (arXiv 2312.03732).
        package let isRankStabilized: Bool
        /// Such as `q_proj`.
        package let targets: [String]

        /// What the product of the two matrices is multiplied by.
        package var scale: Double {
            alpha / (isRankStabilized ? Double(rank).squareRoot() : Double(rank))
        }
    }

    /// What the operands of products are rounded to.
    package enum Precision: String, Sendable, CaseIterable {
        case float32
        case bfloat16
    }

    /// The sizes of new weights.
    package struct Sizes: Sendable, Equatable {
        /// d_model.
        package let width: Int
        /// d_kv of a T5. A GPT-2 divides its width among its heads.
        package let headWidth: Int
        package let heads: Int
        /// d_ff of a T5, n_inner of a GPT-2.
        package let feedForward: Int
        /// Layers of the decoder.
        package let layers: Int
        package let encoderLayers: Int
        /// The longest prompt and output together of a GPT-2, in tokens.
        package let positions: Int
    }

    /// JSON Lines of pairs. Paths are from the working folder.
    package struct Data: Sendable, Equatable {
        /// Never empty. A recipe without `tasks` has one task, without a decoder prompt.
        package let tasks: [Task]
        package let sourceField: String
        package let targetField: String
        /// Longer prompts are cut off.
        package let sourceTokens: Int
        /// Pairs with longer targets are left out.
        package let targetTokens: Int
        /// Folder of the LLM's states. Nil: beside the output, for as long as training lasts.
        package let cache: String?

        /// The training pairs of the first task.
        package var train: String { tasks.first?.train ?? "" }
        package var validation: String { tasks.first?.validation ?? "" }
    }

    /// The pairs of one of several tasks that are learned together.
    package struct Task: Sendable, Equatable {
        package let name: String
        package let train: String
        package let validation: String
        /// The share of a pass that this task's pairs make, in proportion to the other tasks'.
        package let share: Double
        /// What the decoder is given before it writes: `decoder_prompt` of the job type that will use
        /// the model.
        package let decoderPrompt: String?
    }

    /// At least one is set; the first one met ends the training.
    package struct Length: Sendable, Equatable {
        package let steps: Int?
        package let epochs: Int?
        package let time: Duration?
    }

    /// How the learning rate falls after the warm-up.
    package enum Schedule: String, Sendable, CaseIterable {
        case cosine
        case inverseSquareRoot = "inverse_sqrt"
    }

    /// AdamW (Loshchilov and Hutter, arXiv 1711.05101).
    package struct Optimizer: Sendable, Equatable {
        /// The highest rate, at the end of the warm-up.
        package let learningRate: Double
        package let schedule: Schedule
        package let warmupSteps: Int
        package let weightDecay: Double
        package let beta1: Double
        package let beta2: Double
        /// The largest norm of a gradient. Nil: any.
        package let clipping: Double?
    }
}
