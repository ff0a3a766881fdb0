internal import Inference
internal import Jobs

extension WeightFormat {
    init(_ dtype: JobType.NumberType) {
        self =
            switch dtype {
            case .float32: .float32
            case .bfloat16: .bfloat16
            case .int8: .int8
            }
    }
}
