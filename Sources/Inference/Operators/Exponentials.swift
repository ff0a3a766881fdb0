internal import Foundation

func logarithm(_ x: Float) -> Float { logf(x) }
func exponential(_ x: Float) -> Float { expf(x) }
func cosine(_ x: Float) -> Float { cosf(x) }
func sine(_ x: Float) -> Float { sinf(x) }
func power(_ x: Float, _ y: Float) -> Float { powf(x, y) }
